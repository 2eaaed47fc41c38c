"""A scene in motion: a camera that sways, things that stand still and things that move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stream.scenes.camera.motion import Round, Sway
from stream.scenes.renderer.materials import Colour, Material
from stream.scenes.renderer.patterns import bricks, checks, grain, noise, planks, stripes, tiles, windows
from stream.scenes.renderer.primitives import Primitive, placed
from stream.scenes.renderer.textures import GAMMA, Atlas, atlas_of, painted
from stream.scenes.scene import Environment, Light, Scene
from stream.scenes.world.objects import animal, ball, person

Mover: TypeAlias = Callable[[float], Sequence[Primitive]]
"""Time in seconds -> the thing at that time; always the same number and order of primitives."""

STRIDE_M = 1.3
"""Two steps of a person."""
TEXTURE_SIDE = 256
PAINTS = (
    *("plaster", "front", "bricks", "paving", "planks", "grain", "leaves", "bark"),
    *("cloth", "stripes", "checks", "stone", "clouds", "carpet"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Tour:
    """``at`` any time gives the scene; the images of one tour share its atlas."""

    atlas: Atlas
    still: tuple[Primitive, ...]
    movers: tuple[Mover, ...]
    environment: Environment
    light: Light
    sway: Sway

    def at(self, time_s: float) -> Scene:
        moving = tuple(part for mover in self.movers for part in mover(time_s))
        return Scene(self.still + moving, self.environment, self.light, self.sway.at(time_s))


def paint(
    name: str, colour: Colour, repeats_per_m: float = 1.0, *, contrast: float = 1.0, gloss: float = 0.0
) -> Material:
    """One of PAINTS in a displayed (not linear) colour; raises ValueError for another name."""
    red, green, blue = colour
    return Material(PAINTS.index(name), repeats_per_m, (red**GAMMA, green**GAMMA, blue**GAMMA), contrast, gloss)


def paint_box(rng: np.random.Generator) -> Atlas:
    """The textures of PAINTS, mostly white so that materials give the colour."""
    side, white = TEXTURE_SIDE, (1.0, 1.0, 1.0)
    grey, dark = (0.72, 0.72, 0.72), (0.4, 0.4, 0.4)
    rough = noise(rng, side, 7, 0.8, 1)
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


def walker(round_: Round, height: float, coat: Material, trousers: Material, skin: Material) -> Mover:
    def at(time_s: float) -> Sequence[Primitive]:
        stride = 2 * np.pi * round_.walked_m(time_s) / STRIDE_M
        parts = person(height, coat, trousers, skin, float(stride))
        return placed(parts, round_.place(time_s), round_.heading_rad(time_s))

    return at


def pet(round_: Round, length: float, fur: Material) -> Mover:
    def at(time_s: float) -> Sequence[Primitive]:
        stride = 2 * np.pi * round_.walked_m(time_s) / (1.2 * length)
        return placed(animal(length, fur, float(stride)), round_.place(time_s), round_.heading_rad(time_s))

    return at


def rolling_ball(round_: Round, radius: float, material: Material) -> Mover:
    def at(time_s: float) -> Sequence[Primitive]:
        parts = ball(radius, material, round_.walked_m(time_s) / radius)
        return placed(parts, round_.place(time_s), round_.heading_rad(time_s))

    return at


def together(*things: Iterable[Primitive]) -> tuple[Primitive, ...]:
    return tuple(part for thing in things for part in thing)
