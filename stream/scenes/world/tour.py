"""A tour: a scene in motion, with a swaying camera, still objects and moving ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stream.scenes.camera.motion import EllipticPath, Sway
from stream.scenes.renderer.patterns import bricks, checks, grain, noise, planks, stripes, tiles, windows
from stream.scenes.renderer.primitives import Colour, Material, Primitive, placed
from stream.scenes.renderer.textures import GAMMA, Atlas, atlas_of, painted
from stream.scenes.scene import Environment, Light, Scene
from stream.scenes.world.objects import animal, ball, person

Mover: TypeAlias = Callable[[float], Sequence[Primitive]]
"""Time in seconds -> an object at that time, always with the same number and order of primitives."""

STRIDE_M = 1.3
"""Length of two steps of a person."""
TEXTURE_SIDE = 256
"""Texels."""
TEXTURE_NAMES = (
    *("plaster", "front", "bricks", "paving", "planks", "grain", "leaves", "bark"),
    *("cloth", "stripes", "checks", "stone", "clouds", "carpet"),
)
"""The textures of ``tour_atlas``, in the order of their indices."""


@dataclass(frozen=True, slots=True, eq=False)
class Tour:
    """An endless animation: ``at`` gives the scene at any time."""

    atlas: Atlas
    """Textures of all images of the tour."""
    still: tuple[Primitive, ...]
    """Objects that never move."""
    movers: tuple[Mover, ...]
    """Objects that move."""
    environment: Environment
    light: Light
    sway: Sway
    """The camera's motion."""

    def at(self, time_s: float) -> Scene:
        """The scene ``time_s`` seconds after the start."""
        moving = tuple(part for mover in self.movers for part in mover(time_s))
        return Scene(self.still + moving, self.environment, self.light, self.sway.at(time_s))


def textured(
    name: str, colour: Colour, repeats_per_m: float = 1.0, *, contrast: float = 1.0, gloss: float = 0.0
) -> Material:
    """A material from one of TEXTURE_NAMES in a displayed (not linear) colour. Raises ValueError for another name."""
    red, green, blue = colour
    return Material(TEXTURE_NAMES.index(name), repeats_per_m, (red**GAMMA, green**GAMMA, blue**GAMMA), contrast, gloss)


def tour_atlas(rng: np.random.Generator) -> Atlas:
    """The textures of TEXTURE_NAMES, mostly white so that the material's tint decides the colour."""
    side, white = TEXTURE_SIDE, (1.0, 1.0, 1.0)
    grey, dark = (0.72, 0.72, 0.72), (0.4, 0.4, 0.4)
    rough = noise(rng, side, 7, 0.8, 1)
    # in the order of TEXTURE_NAMES; the tour goes on drawing from this generator, so a change here changes all of it
    return atlas_of(
        [
            painted(noise(rng, side, 6, 0.7, 2), (0.86, 0.86, 0.86), white),
            painted(windows(rng, side), (0.1, 0.13, 0.18), (1.1, 1.1, 1.1)),
            painted(bricks(rng, side, 12), grey, white) * (0.85 + 0.15 * rough[..., None]),
            painted(tiles(rng, side, 4, 0.035, 0.35), grey, white) * (0.88 + 0.12 * rough[..., None]),
            painted(planks(rng, side, 4), (0.5, 0.45, 0.4), white),
            painted(grain(rng, side, 5), (0.78, 0.74, 0.7), white),
            painted(noise(rng, side, 5, 0.9, 3), dark, white),
            painted(stripes(rng, side, 8, 2.0), (0.6, 0.6, 0.6), white),
            painted(noise(rng, side, 4, 0.9, 4), grey, white),
            painted(stripes(rng, side, 4), (0.9, 0.3, 0.25), white),
            painted(checks(rng, side, 2), (0.55, 0.55, 0.55), white),
            painted(noise(rng, side, 6, 0.75, 2), (0.7, 0.7, 0.7), white),
            painted(np.clip(noise(rng, side, 7, 0.6, 1) * 2.2 - 0.9, 0, 1).astype(np.float32), (0, 0, 0), white),
            painted(tiles(rng, side, 3, 0.12, 0.5), (0.62, 0.5, 0.5), white),
        ]
    )


def walker(path: EllipticPath, height: float, coat: Material, trousers: Material, skin: Material) -> Mover:
    """A person of ``height`` metres who walks along ``path``; the legs keep step with the distance."""

    def at(time_s: float) -> Sequence[Primitive]:
        stride = 2 * np.pi * path.distance_m(time_s) / STRIDE_M
        parts = person(height, coat, trousers, skin, float(stride))
        return placed(parts, path.position(time_s), path.heading_rad(time_s))

    return at


def pet(path: EllipticPath, length: float, fur: Material) -> Mover:
    """An animal of ``length`` metres that walks along ``path``."""

    def at(time_s: float) -> Sequence[Primitive]:
        stride = 2 * np.pi * path.distance_m(time_s) / (1.2 * length)
        return placed(animal(length, fur, float(stride)), path.position(time_s), path.heading_rad(time_s))

    return at


def rolling_ball(path: EllipticPath, radius: float, material: Material) -> Mover:
    """A ball of ``radius`` metres that rolls along ``path`` without slipping."""

    def at(time_s: float) -> Sequence[Primitive]:
        parts = ball(radius, material, path.distance_m(time_s) / radius)
        return placed(parts, path.position(time_s), path.heading_rad(time_s))

    return at


def joined(*objects: Iterable[Primitive]) -> tuple[Primitive, ...]:
    """All primitives of several objects in one tuple."""
    return tuple(part for parts in objects for part in parts)
