"""Families of random scenes: what stands where, seen from where. FAMILIES has them all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stream.scenes.camera import Camera
from stream.scenes.furniture import picture
from stream.scenes.materials import Colour
from stream.scenes.primitives import Primitive, box, placed
from stream.scenes.rotations import Vector, about_z, vector
from stream.scenes.scene import FAR_M, Environment, Light, Scene
from stream.scenes.things import Chance, random_shelf, random_table, random_tree


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


def random_scene(rng: np.random.Generator, textures: int, family: str | None = None) -> Scene:
    """A scene of ``family``, or of any, each as often as FAMILIES says; ``textures``: their number in the atlas."""
    names = list(FAMILIES)
    weights = np.array([share for _, share in FAMILIES.values()])
    build, _ = FAMILIES[family if family is not None else str(rng.choice(names, p=weights / weights.sum()))]
    return build(Chance(rng, textures))


def outdoors(chance: Chance) -> Scene:
    """Houses, street walls, trees and things on open ground under a sky."""
    view = _view(chance, chance.between(0.6, 3.0) if chance.often(0.8) else chance.between(3, 12), (-28, 10))
    parts: list[Primitive] = []
    if chance.often(0.6):
        for _ in range(int(chance.rng.integers(1, 7))):
            half = chance.rng.uniform((2, 2, 1.5), (9, 9, 14))
            parts.append(_block(chance, _spot(chance, view, 8, 60, 1.4) + vector(half[0], 0, 0), half))
    if chance.often(0.35):
        for side in (-1, 1):
            half = np.array([chance.between(10, 40), 3.0, chance.between(1, 9)])
            base = vector(half[0] - 2, side * (chance.between(2.5, 8) + 3), 0)
            parts.append(_block(chance, base, half, chance.rng.normal(0, 0.03)))
    for _ in range(int(chance.rng.integers(1, 12))):
        parts += chance.thing(_spot(chance, view, 1.8 + 0.4 * view.height_m, 30), chance.between(0.4, 2.2))
    if chance.often(0.5):
        for _ in range(int(chance.rng.integers(1, 5))):
            parts += placed(random_tree(chance, chance.between(2.5, 9)), _spot(chance, view, 4, 40, 1.3))
    environment = _environment(chance, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    return Scene(tuple(parts), environment, _light(chance, view, outdoors=True), view.camera())


def room(chance: Chance) -> Scene:
    """Tables, a shelf, things on the floor, pictures on the wall ahead."""
    view = _view(chance, chance.between(0.7, 2.1), (-28, 10))
    half_width, depth = chance.between(1.3, 5), chance.between(2, 9)
    middle = chance.between(-0.7, 0.7) * half_width
    right, left = middle - half_width, middle + half_width
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(0, 3))):
        base = vector(chance.between(1.4, max(1.5, depth - 0.5)), chance.between(right, left) * 0.7, 0)
        on_it = int(chance.rng.integers(0, 5))
        parts += placed(random_table(chance, chance.between(0.7, 1.3), on_it), base, chance.between(-0.6, 0.6))
    if chance.often(0.4):
        shelf = random_shelf(chance, chance.between(0.8, 1.4), int(chance.rng.integers(0, 3)))
        parts += placed(shelf, vector(depth - 0.3, chance.between(right, left) * 0.8, 0), math.pi)
    for _ in range(int(chance.rng.integers(1, 9))):
        base = _spot(chance, view, 0.9, 0.95 * depth)
        base[1] = np.clip(base[1], right + 0.2, left - 0.2)
        parts += chance.thing(base, chance.between(0.2, 1.3))
    for _ in range(int(chance.rng.integers(0, 4))):
        hung = picture(chance.between(0.3, 1.5), chance.between(0.3, 1.3), chance.material(), chance.material())
        parts += placed(hung, vector(depth, chance.between(right, left) * 0.9, chance.between(0.8, 2.2)), math.pi)
    ceiling = max(chance.between(2.2, 3.6), view.height_m + 0.3)
    environment = _environment(chance, (-1.5, right, 0), (depth, left, ceiling), sky=False)
    return Scene(tuple(parts), environment, _light(chance, view), view.camera())


def table_top(chance: Chance) -> Scene:
    """Small things near the camera, before a wall; the floor is the table."""
    view = _view(chance, chance.between(0.12, 0.8), (-45, -2))
    depth, half_width = chance.between(0.8, 4), chance.between(0.5, 3)
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(2, 14))):
        base = _spot(chance, view, 0.3 + 0.3 * view.height_m, min(depth, 2.2), 1.0)
        parts += chance.thing(base, chance.between(0.05, 0.45))
    environment = _environment(chance, (-1, -half_width, 0), (depth, half_width, 5 + view.height_m), sky=False)
    return Scene(tuple(parts), environment, _light(chance, view), view.camera())


def backdrop(chance: Chance) -> Scene:
    """Things at any height and distance before a wall; the floor is often out of sight."""
    view = _view(chance, chance.between(0.3, 1.5), (-10, 8))
    depth = 1.2 * 6 ** chance.between(0, 1)
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(2, 12))):
        base = _spot(chance, view, 0.35 * depth, 0.97 * depth, 0.95)
        if chance.often(0.7):
            base[2] = max(0.0, view.height_m + chance.between(-0.9, 0.5) * base[0] * view.half_width)
        parts += chance.thing(base, base[0] * chance.between(0.15, 0.8))
    low = (-1.0, -depth * chance.between(0.8, 3), 0.0)
    high = (depth, depth * chance.between(0.8, 3), view.height_m + chance.between(0.6, 3))
    return Scene(tuple(parts), _environment(chance, low, high, sky=False), _light(chance, view), view.camera())


FAMILIES: dict[str, tuple[Callable[[Chance], Scene], float]] = {
    "outdoors": (outdoors, 0.30),
    "room": (room, 0.30),
    "table_top": (table_top, 0.22),
    "backdrop": (backdrop, 0.18),
}
"""Each family and its share of the scenes."""


def _view(chance: Chance, height_m: float, pitch_degrees: tuple[float, float]) -> View:
    pitch, roll = math.radians(chance.between(*pitch_degrees)), math.radians(float(chance.rng.normal(0, 2.5)))
    return View(height_m, pitch, roll, math.radians(chance.between(38, 90)))


def _spot(chance: Chance, view: View, near_m: float, far_m: float, spread: float = 1.15) -> Vector:
    """A place on the floor in the view, as often at 1..2 m as at 2..4 m."""
    ahead = near_m * (far_m / near_m) ** chance.between(0, 1)
    return vector(ahead, chance.between(-1, 1) * ahead * view.half_width * spread, 0)


def _block(chance: Chance, base: Vector, half: Vector, heading: float | None = None) -> Primitive:
    turn = about_z(chance.between(-0.6, 0.6) if heading is None else heading)
    return box(base + vector(0, 0, half[2]), half, chance.material(), turn)


def _environment(
    chance: Chance, low: tuple[float, float, float], high: tuple[float, float, float], *, sky: bool
) -> Environment:
    behind, ahead, right, left, floor, ceiling = (chance.material() for _ in range(6))
    return Environment(low, high, (behind, ahead, right, left, floor, ceiling), sky)


def _light(chance: Chance, view: View, *, outdoors: bool = False) -> Light:
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
