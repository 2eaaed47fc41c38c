"""Parts that the scene families share: a random view, positions in it, an environment and a light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.primitives import Colour, Primitive, box
from stream.scenes.renderer.vectors import Vector, about_z, vector
from stream.scenes.scene import Environment, Light
from stream.scenes.world.sampler import Sampler


@dataclass(frozen=True, slots=True)
class View:
    """A camera above the origin that looks along the world's x."""

    height_m: float
    """Above the floor."""
    pitch_rad: float
    """Positive angles look up."""
    roll_rad: float
    """Positive angles turn the camera clockwise, seen from behind."""
    field_of_view_rad: float
    """Horizontal, from edge to edge."""

    def camera(self) -> Camera:
        return Camera((0.0, 0.0, self.height_m), 0.0, self.pitch_rad, self.roll_rad, self.field_of_view_rad)

    @property
    def half_width(self) -> float:
        """Half of the width of the view, metres per metre of distance."""
        return math.tan(self.field_of_view_rad / 2)


def random_view(sampler: Sampler, height_m: float, pitch_degrees: tuple[float, float]) -> View:
    """A view with a pitch in the given range, a field of view of 38 to 90 degrees and a slight roll."""
    pitch, roll = math.radians(sampler.uniform(*pitch_degrees)), math.radians(float(sampler.rng.normal(0, 2.5)))
    return View(height_m, pitch, roll, math.radians(sampler.uniform(38, 90)))


def spot(sampler: Sampler, view: View, near_m: float, far_m: float, spread: float = 1.15) -> Vector:
    """A point on the floor in the view, as often at 1..2 m as at 2..4 m. A ``spread`` above 1 exceeds the view."""
    ahead = near_m * (far_m / near_m) ** sampler.uniform(0, 1)
    return vector(ahead, sampler.uniform(-1, 1) * ahead * view.half_width * spread, 0)


def block(sampler: Sampler, base: Vector, half: Vector, heading: float | None = None) -> Primitive:
    """A box of random material that stands on ``base``."""
    turn = about_z(sampler.uniform(-0.6, 0.6) if heading is None else heading)
    return box(base + vector(0, 0, half[2]), half, sampler.material(), turn)


def surroundings(
    sampler: Sampler, low: tuple[float, float, float], high: tuple[float, float, float], *, sky: bool
) -> Environment:
    """An environment of random materials from the corner ``low`` to ``high``, metres."""
    behind, ahead, right, left, floor, ceiling = (sampler.material() for _ in range(6))
    return Environment(low, high, (behind, ahead, right, left, floor, ceiling), sky)


def random_light(sampler: Sampler, view: View, *, outdoors: bool = False) -> Light:
    """A sun, four times in ten a lamp, a sky, and outdoors one time in two haze."""
    toward = sampler.rng.uniform((-1.3, -1.2, 0.25), (0.5, 1.2, 1.45))
    x, y, z = toward / np.linalg.norm(toward)
    scale = 0.7 * view.height_m + 0.3
    lamp = sampler.uniform(1, 3) if sampler.chance(0.4) else 0.0
    return Light(
        (float(x), float(y), float(z)),
        sun=_tinted(sampler, sampler.uniform(0.2, 1.6)),
        ambient=_tinted(sampler, sampler.uniform(0.25, 0.75)),
        lamp_at=(sampler.uniform(-1, 3) * scale, sampler.uniform(-2, 2) * scale, sampler.uniform(0.3, 2.8) * scale),
        lamp=_tinted(sampler, lamp),
        lamp_reach_m=view.height_m,
        horizon=_tinted(sampler, sampler.uniform(0.45, 0.85), 0.15),
        zenith=_tinted(sampler, sampler.uniform(0.15, 0.5), 0.5),
        clouds=sampler.uniform(0, 0.7) if sampler.chance(0.5) else 0.0,
        haze_per_m=0.06 * sampler.uniform(0, 1) ** 3 if outdoors and sampler.chance(0.5) else 0.0,
        exposure=None,
    )


def _tinted(sampler: Sampler, strength: float, spread: float = 0.12) -> Colour:
    """A nearly grey colour of that strength; each channel is off by at most ``spread`` of it."""
    red, green, blue = strength * (1 + spread * sampler.rng.uniform(-1, 1, 3))
    return float(red), float(green), float(blue)
