"""Families of random scenes: what stands where, seen from where. FAMILIES has them all."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from stream.scenes.renderer.primitives import Primitive, placed
from stream.scenes.renderer.rotations import vector
from stream.scenes.scene import FAR_M, Scene
from stream.scenes.world.closeups import close_up, curve
from stream.scenes.world.furniture import image
from stream.scenes.world.staging import block, random_light, random_view, spot, surroundings
from stream.scenes.world.thickets import meadow, thicket
from stream.scenes.world.things import Chance, random_shelf, random_table, random_tree
from stream.scenes.world.tilted import from_above, upward, wall_ahead


def random_scene(rng: np.random.Generator, textures: int, family: str | None = None) -> Scene:
    """A scene of ``family``, or of any, each as often as FAMILIES says; ``textures``: their number in the atlas."""
    names = list(FAMILIES)
    weights = np.array([share for _, share in FAMILIES.values()])
    build, _ = FAMILIES[family if family is not None else str(rng.choice(names, p=weights / weights.sum()))]
    return build(Chance(rng, textures))


def outdoors(chance: Chance) -> Scene:
    """Houses, street walls, trees and things on open ground under a sky."""
    view = random_view(chance, chance.between(0.6, 3.0) if chance.often(0.8) else chance.between(3, 12), (-28, 10))
    parts: list[Primitive] = []
    if chance.often(0.6):
        for _ in range(int(chance.rng.integers(1, 7))):
            half = chance.rng.uniform((2, 2, 1.5), (9, 9, 14))
            parts.append(block(chance, spot(chance, view, 8, 60, 1.4) + vector(half[0], 0, 0), half))
    if chance.often(0.35):
        for side in (-1, 1):
            half = np.array([chance.between(10, 40), 3.0, chance.between(1, 9)])
            base = vector(half[0] - 2, side * (chance.between(2.5, 8) + 3), 0)
            parts.append(block(chance, base, half, chance.rng.normal(0, 0.03)))
    for _ in range(int(chance.rng.integers(1, 12))):
        parts += chance.thing(spot(chance, view, 1.8 + 0.4 * view.height_m, 30), chance.between(0.4, 2.2))
    if chance.often(0.5):
        for _ in range(int(chance.rng.integers(1, 5))):
            parts += placed(random_tree(chance, chance.between(2.5, 9)), spot(chance, view, 4, 40, 1.3))
    environment = surroundings(chance, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    return Scene(tuple(parts), environment, random_light(chance, view, outdoors=True), view.camera())


def room(chance: Chance) -> Scene:
    """Tables, a shelf, things on the floor, images on the wall ahead."""
    view = random_view(chance, chance.between(0.7, 2.1), (-28, 10))
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
        base = spot(chance, view, 0.9, 0.95 * depth)
        base[1] = np.clip(base[1], right + 0.2, left - 0.2)
        parts += chance.thing(base, chance.between(0.2, 1.3))
    for _ in range(int(chance.rng.integers(0, 4))):
        hung = image(chance.between(0.3, 1.5), chance.between(0.3, 1.3), chance.material(), chance.material())
        parts += placed(hung, vector(depth, chance.between(right, left) * 0.9, chance.between(0.8, 2.2)), math.pi)
    ceiling = max(chance.between(2.2, 3.6), view.height_m + 0.3)
    environment = surroundings(chance, (-1.5, right, 0), (depth, left, ceiling), sky=False)
    return Scene(tuple(parts), environment, random_light(chance, view), view.camera())


def table_top(chance: Chance) -> Scene:
    """Small things near the camera, before a wall; the floor is the table."""
    view = random_view(chance, chance.between(0.12, 0.8), (-45, -2))
    depth, half_width = chance.between(0.8, 4), chance.between(0.5, 3)
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(2, 14))):
        base = spot(chance, view, 0.3 + 0.3 * view.height_m, min(depth, 2.2), 1.0)
        parts += chance.thing(base, chance.between(0.05, 0.45))
    environment = surroundings(chance, (-1, -half_width, 0), (depth, half_width, 5 + view.height_m), sky=False)
    return Scene(tuple(parts), environment, random_light(chance, view), view.camera())


def backdrop(chance: Chance) -> Scene:
    """Things at any height and distance before a wall; the floor is often out of sight."""
    view = random_view(chance, chance.between(0.3, 1.5), (-10, 8))
    depth = 1.2 * 6 ** chance.between(0, 1)
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(2, 12))):
        base = spot(chance, view, 0.35 * depth, 0.97 * depth, 0.95)
        if chance.often(0.7):
            base[2] = max(0.0, view.height_m + chance.between(-0.9, 0.5) * base[0] * view.half_width)
        parts += chance.thing(base, base[0] * chance.between(0.15, 0.8))
    low = (-1.0, -depth * chance.between(0.8, 3), 0.0)
    high = (depth, depth * chance.between(0.8, 3), view.height_m + chance.between(0.6, 3))
    return Scene(tuple(parts), surroundings(chance, low, high, sky=False), random_light(chance, view), view.camera())


FAMILIES: dict[str, tuple[Callable[[Chance], Scene], float]] = {
    "outdoors": (outdoors, 0.18),
    "room": (room, 0.20),
    "table_top": (table_top, 0.15),
    "backdrop": (backdrop, 0.12),
    "meadow": (meadow, 0.05),
    "close_up": (close_up, 0.08),
    "curve": (curve, 0.05),
    "from_above": (from_above, 0.04),
    "upward": (upward, 0.03),
    "thicket": (thicket, 0.05),
    "wall_ahead": (wall_ahead, 0.05),
}
"""Each family and its share of the scenes; the last six, 30%, have no floor that rises into the image."""
