"""Random materials and objects: any object in any size, proportion and colour, so that scenes do not look alike."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from stream.scenes.renderer.primitives import WHITE, Material, Primitive, ellipsoid, placed
from stream.scenes.renderer.textures import GAMMA, random_colour
from stream.scenes.renderer.vectors import Vector, vector
from stream.scenes.world.furniture import board, board_heights, floor_lamp, shelf, sofa, table
from stream.scenes.world.objects import (
    animal,
    ball,
    bush,
    crate,
    drum,
    fountain,
    lamp_post,
    person,
    plant,
    stack,
    tree,
    two_wheeler,
    van,
)
from stream.scenes.world.thin import bicycle, lattice, leaves, ring

LOW_CONTRAST_SHARE = 0.7
"""Share of surfaces with faint texture, so that networks do not rely on texture alone."""


class Sampler:
    """A random generator that draws materials and objects; ``textures`` is the number of textures in the atlas.

    The order of the draws is part of the result: golden inputs, held-out views and resumed trainings depend on it.
    """

    def __init__(self, rng: np.random.Generator, textures: int) -> None:
        self.rng, self._textures = rng, textures

    def uniform(self, low: float, high: float) -> float:
        """A number drawn evenly from ``low`` to ``high``."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """True with probability ``share``."""
        return bool(self.rng.random() < share)

    def heading(self) -> float:
        """An angle from 0 to 2 pi, radians."""
        return self.uniform(0, 2 * math.pi)

    def material(self) -> Material:
        """A texture at 0.3..5 repeats per metre, half of the time tinted, one time in four glossy."""
        red, green, blue = np.clip(random_colour(self.rng) * 1.2 + 0.25, 0, 1.1) ** GAMMA
        return Material(
            int(self.rng.integers(self._textures)),
            10 ** self.uniform(-0.5, 0.7),
            (float(red), float(green), float(blue)) if self.chance(0.5) else WHITE,
            self.uniform(0.05, 0.5) if self.chance(LOW_CONTRAST_SHARE) else 1.0,
            self.uniform(0, 0.6) if self.chance(0.25) else 0.0,
        )

    def object(self, base: Vector, size: float) -> list[Primitive]:
        """Any of OBJECTS, about ``size`` metres large, standing on ``base`` and facing anywhere."""
        draw, weights = zip(*OBJECTS, strict=True)
        chosen = int(self.rng.choice(len(draw), p=np.array(weights) / sum(weights)))
        return placed(draw[chosen](self, size), base, self.heading())


def _crate(sampler: Sampler, size: float) -> list[Primitive]:
    length, width, height = (size * sampler.uniform(0.4, 1.3) for _ in range(3))
    return crate(length, width, height, sampler.material())


def _stack(sampler: Sampler, size: float) -> list[Primitive]:
    levels = int(sampler.rng.integers(2, 4))
    return stack(size * sampler.uniform(0.5, 0.9), tuple(sampler.material() for _ in range(levels)))


def _drum(sampler: Sampler, size: float) -> list[Primitive]:
    lid = sampler.material() if sampler.chance(0.3) else None
    return drum(size * sampler.uniform(0.12, 0.5), size * sampler.uniform(0.5, 1.5), sampler.material(), lid)


def _ball(sampler: Sampler, size: float) -> list[Primitive]:
    return ball(size * sampler.uniform(0.2, 0.6), sampler.material())


def _egg(sampler: Sampler, size: float) -> list[Primitive]:
    half = size * sampler.rng.uniform(0.15, 0.6, 3)
    return [ellipsoid(vector(0, 0, half[2]), half, sampler.material())]


def _board(sampler: Sampler, size: float) -> list[Primitive]:
    return board(
        size * sampler.uniform(0.4, 1.4), size * sampler.uniform(0.6, 1.6), sampler.material(), sampler.uniform(0, 0.3)
    )


def _plant(sampler: Sampler, size: float) -> list[Primitive]:
    return plant(size, int(sampler.rng.integers(4, 10)), sampler.material(), sampler.material())


def _person(sampler: Sampler, size: float) -> list[Primitive]:
    return person(1.2 * size, sampler.material(), sampler.material(), sampler.material(), sampler.heading())


def random_tree(sampler: Sampler, height: float) -> list[Primitive]:
    crowns = int(sampler.rng.integers(1, 5))
    return tree(height, sampler.material(), sampler.material(), crowns, sampler.heading())


def random_table(sampler: Sampler, size: float, objects: int) -> list[Primitive]:
    """A table with ``objects`` objects on it."""
    length, width, height = size * sampler.uniform(0.6, 1.2), size * sampler.uniform(0.8, 2.0), size * 0.75
    parts = table(length, width, height, sampler.material())
    for _ in range(objects):
        spot = vector(sampler.uniform(-0.4, 0.4) * length, sampler.uniform(-0.4, 0.4) * width, height)
        parts += sampler.object(spot, size * sampler.uniform(0.08, 0.35))
    return parts


def random_shelf(sampler: Sampler, size: float, objects_per_board: int) -> list[Primitive]:
    """A shelf with ``objects_per_board`` objects on each of its boards."""
    width, height, boards = (
        size * sampler.uniform(0.8, 2.0),
        size * sampler.uniform(1.0, 2.0),
        int(sampler.rng.integers(3, 6)),
    )
    back = sampler.material() if sampler.chance(0.5) else None
    parts = shelf(width, height, 0.35 * size, boards, wood=sampler.material(), back=back)
    for z in board_heights(height, boards):
        for _ in range(objects_per_board):
            parts += sampler.object(vector(0, sampler.uniform(-0.4, 0.4) * width, z), 0.6 * height / boards)
    return parts


Draw = Callable[[Sampler, float], list[Primitive]]
"""Builds an object about as large as the second argument, in metres."""
OBJECTS: tuple[tuple[Draw, float], ...] = (
    (_crate, 16),
    (_stack, 8),
    (_drum, 15),
    (_ball, 6),
    (_egg, 7),
    (_board, 9),
    (_plant, 10),
    (_person, 8),
    (lambda sampler, size: animal(0.8 * size, sampler.material(), sampler.heading()), 4),
    (lambda sampler, size: two_wheeler(size, sampler.material(), sampler.material()), 4),
    (lambda sampler, size: van(1.6 * size, sampler.material(), sampler.material(), sampler.material()), 3),
    (lambda sampler, size: bush(size, sampler.material(), sampler.material()), 3),
    (lambda sampler, size: lamp_post(1.6 * size, sampler.material(), sampler.material()), 3),
    (lambda sampler, size: floor_lamp(1.2 * size, sampler.material(), sampler.material()), 2),
    (lambda sampler, size: fountain(0.6 * size, sampler.material(), sampler.material()), 1),
    (lambda sampler, size: sofa(1.5 * size, sampler.material(), sampler.material()), 1),
    (lambda sampler, size: leaves(sampler.rng, size, int(sampler.rng.integers(5, 11)), sampler.material()), 3),
    (lambda sampler, size: ring(0.4 * size, 0.02 * size, sampler.material(), sampler.material()), 1),
    (lambda sampler, size: bicycle(1.2 * size, sampler.material(), sampler.material()), 1),
    (lambda sampler, size: lattice(size, 0.7 * size, 6, 2, thickness=0.015 * size, wood=sampler.material()), 1.5),
)
"""Builders and weights of the objects that ``Sampler.object`` draws; add to them to teach a network something new."""
