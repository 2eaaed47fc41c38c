"""What the families of scenes share: a camera's pose, places in its view, surroundings, light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.materials import Colour
from stream.scenes.renderer.primitives import Primitive, box
from stream.scenes.renderer.rotations import Vector, about_z, vector
from stream.scenes.scene import Environment, Light
from stream.scenes.world.things import Chance


@dataclass(frozen=True, slots=True)
class View:
    """How a family's camera looks: level with the world's x, at a height."""

    height_m: float
    pitch_rad: float
    roll_rad: float
    field_of_view_rad: float

    def camera(self) -> Camera:
        return Camera((0.0, 0.0, self.height_m), 0.0, self.pitch_rad, self.roll_rad, self.field_of_view_rad)

    @property
    def half_width(self) -> float:
        """Half of what is seen across, per metre of distance."""
        return math.tan(self.field_of_view_rad / 2)


def random_view(chance: Chance, height_m: float, pitch_degrees: tuple[float, float]) -> View:
    pitch, roll = math.radians(chance.between(*pitch_degrees)), math.radians(float(chance.rng.normal(0, 2.5)))
    return View(height_m, pitch, roll, math.radians(chance.between(38, 90)))


def spot(chance: Chance, view: View, near_m: float, far_m: float, spread: float = 1.15) -> Vector:
    """A place on the floor in the view, as often at 1..2 m as at 2..4 m."""
    ahead = near_m * (far_m / near_m) ** chance.between(0, 1)
    return vector(ahead, chance.between(-1, 1) * ahead * view.half_width * spread, 0)


def block(chance: Chance, base: Vector, half: Vector, heading: float | None = None) -> Primitive:
    turn = about_z(chance.between(-0.6, 0.6) if heading is None else heading)
    return box(base + vector(0, 0, half[2]), half, chance.material(), turn)


def surroundings(
    chance: Chance, low: tuple[float, float, float], high: tuple[float, float, float], *, sky: bool
) -> Environment:
    behind, ahead, right, left, floor, ceiling = (chance.material() for _ in range(6))
    return Environment(low, high, (behind, ahead, right, left, floor, ceiling), sky)


def random_light(chance: Chance, view: View, *, outdoors: bool = False) -> Light:
    toward = chance.rng.uniform((-1.3, -1.2, 0.25), (0.5, 1.2, 1.45))
    x, y, z = toward / np.linalg.norm(toward)
    scale = 0.7 * view.height_m + 0.3
    lamp = chance.between(1, 3) if chance.often(0.4) else 0.0
    return Light(
        (float(x), float(y), float(z)),
        sun=_tinted(chance, chance.between(0.2, 1.6)),
        ambient=_tinted(chance, chance.between(0.25, 0.75)),
        lamp_at=(chance.between(-1, 3) * scale, chance.between(-2, 2) * scale, chance.between(0.3, 2.8) * scale),
        lamp=_tinted(chance, lamp),
        lamp_reach_m=view.height_m,
        horizon=_tinted(chance, chance.between(0.45, 0.85), 0.15),
        zenith=_tinted(chance, chance.between(0.15, 0.5), 0.5),
        clouds=chance.between(0, 0.7) if chance.often(0.5) else 0.0,
        haze_per_m=0.06 * chance.between(0, 1) ** 3 if outdoors and chance.often(0.5) else 0.0,
        exposure=None,
    )


def _tinted(chance: Chance, strength: float, spread: float = 0.12) -> Colour:
    red, green, blue = strength * (1 + spread * chance.rng.uniform(-1, 1, 3))
    return float(red), float(green), float(blue)


EVERY = 7
"""Statistics are taken of one pixel in so many."""
FEWEST_SURFACES, SMALLEST_SURFACE, LARGEST_SURFACE = 4, 0.006, 0.72
"""A view shows at least four surfaces of 0.6% of the image, and none takes more than 72%."""
DEPTH_RANGE = 1.35
"""The 98th percentile of inverse depth is at least so many times the 2nd."""
NEAREST_M = 1 / 12


def worth_keeping(depth: Tensor, ident: Tensor) -> Tensor:
    """Of (B, H, W) metres and surface numbers, as ``Images`` and ``Hits`` have them: which views to keep, (B,) bool.

    False for views blocked by one surface, without depth, or with something at the lens.
    """
    inverse = (1 / depth).flatten(1)[:, ::EVERY]
    low, high = torch.quantile(inverse, 0.02, dim=1), torch.quantile(inverse, 0.98, dim=1)
    number = ident.flatten(1)[:, ::EVERY] + 1  # sky is -1
    count = torch.zeros(len(number), int(number.max()) + 1, device=number.device)
    share = count.scatter_add_(1, number, torch.ones_like(inverse)) / number.shape[1]
    several = (share > SMALLEST_SURFACE).sum(1) >= FEWEST_SURFACES
    return (high > DEPTH_RANGE * low) & (inverse.amax(1) < 1 / NEAREST_M) & several & (share.amax(1) < LARGEST_SURFACE)
