"""Things drawn by chance, for scenes that should not all look alike: any object in any size, proportion and paint."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from stream.scenes.renderer.materials import WHITE, Material
from stream.scenes.renderer.primitives import Primitive, ellipsoid, placed
from stream.scenes.renderer.rotations import Vector, vector
from stream.scenes.renderer.textures import GAMMA, random_colour
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
"""Share of surfaces with faint texture: networks should not live on texture alone."""


class Chance:
    """A random generator that draws materials and things; ``textures`` is the number of textures in the atlas."""

    def __init__(self, rng: np.random.Generator, textures: int) -> None:
        self.rng, self._textures = rng, textures

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def often(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def heading(self) -> float:
        return self.between(0, 2 * math.pi)

    def material(self) -> Material:
        """A texture at 0.3..5 repeats a metre, half of them tinted, one in four glossy."""
        red, green, blue = np.clip(random_colour(self.rng) * 1.2 + 0.25, 0, 1.1) ** GAMMA
        return Material(
            int(self.rng.integers(self._textures)),
            10 ** self.between(-0.5, 0.7),
            (float(red), float(green), float(blue)) if self.often(0.5) else WHITE,
            self.between(0.05, 0.5) if self.often(LOW_CONTRAST_SHARE) else 1.0,
            self.between(0, 0.6) if self.often(0.25) else 0.0,
        )

    def thing(self, base: Vector, size: float) -> list[Primitive]:
        """Any thing about ``size`` metres large, on ``base``, facing anywhere."""
        draw, weights = zip(*THINGS, strict=True)
        chosen = int(self.rng.choice(len(draw), p=np.array(weights) / sum(weights)))
        return placed(draw[chosen](self, size), base, self.heading())


def _crate(chance: Chance, size: float) -> list[Primitive]:
    length, width, height = (size * chance.between(0.4, 1.3) for _ in range(3))
    return crate(length, width, height, chance.material())


def _stack(chance: Chance, size: float) -> list[Primitive]:
    levels = int(chance.rng.integers(2, 4))
    return stack(size * chance.between(0.5, 0.9), tuple(chance.material() for _ in range(levels)))


def _drum(chance: Chance, size: float) -> list[Primitive]:
    lid = chance.material() if chance.often(0.3) else None
    return drum(size * chance.between(0.12, 0.5), size * chance.between(0.5, 1.5), chance.material(), lid)


def _ball(chance: Chance, size: float) -> list[Primitive]:
    return ball(size * chance.between(0.2, 0.6), chance.material())


def _egg(chance: Chance, size: float) -> list[Primitive]:
    half = size * chance.rng.uniform(0.15, 0.6, 3)
    return [ellipsoid(vector(0, 0, half[2]), half, chance.material())]


def _board(chance: Chance, size: float) -> list[Primitive]:
    return board(
        size * chance.between(0.4, 1.4), size * chance.between(0.6, 1.6), chance.material(), chance.between(0, 0.3)
    )


def _plant(chance: Chance, size: float) -> list[Primitive]:
    return plant(size, int(chance.rng.integers(4, 10)), chance.material(), chance.material())


def _person(chance: Chance, size: float) -> list[Primitive]:
    return person(1.2 * size, chance.material(), chance.material(), chance.material(), chance.heading())


def random_tree(chance: Chance, height: float) -> list[Primitive]:
    crowns = int(chance.rng.integers(1, 5))
    return tree(height, chance.material(), chance.material(), crowns, chance.heading())


def random_table(chance: Chance, size: float, things: int) -> list[Primitive]:
    """A table with things on it."""
    length, width, height = size * chance.between(0.6, 1.2), size * chance.between(0.8, 2.0), size * 0.75
    parts = table(length, width, height, chance.material())
    for _ in range(things):
        spot = vector(chance.between(-0.4, 0.4) * length, chance.between(-0.4, 0.4) * width, height)
        parts += chance.thing(spot, size * chance.between(0.08, 0.35))
    return parts


def random_shelf(chance: Chance, size: float, things_on_a_board: int) -> list[Primitive]:
    """A shelf with things on its boards."""
    width, height, boards = (
        size * chance.between(0.8, 2.0),
        size * chance.between(1.0, 2.0),
        int(chance.rng.integers(3, 6)),
    )
    back = chance.material() if chance.often(0.5) else None
    parts = shelf(width, height, 0.35 * size, boards, wood=chance.material(), back=back)
    for z in board_heights(height, boards):
        for _ in range(things_on_a_board):
            parts += chance.thing(vector(0, chance.between(-0.4, 0.4) * width, z), 0.6 * height / boards)
    return parts


Draw = Callable[[Chance, float], list[Primitive]]
THINGS: tuple[tuple[Draw, float], ...] = (
    (_crate, 16),
    (_stack, 8),
    (_drum, 15),
    (_ball, 6),
    (_egg, 7),
    (_board, 9),
    (_plant, 10),
    (_person, 8),
    (lambda chance, size: animal(0.8 * size, chance.material(), chance.heading()), 4),
    (lambda chance, size: two_wheeler(size, chance.material(), chance.material()), 4),
    (lambda chance, size: van(1.6 * size, chance.material(), chance.material(), chance.material()), 3),
    (lambda chance, size: bush(size, chance.material(), chance.material()), 3),
    (lambda chance, size: lamp_post(1.6 * size, chance.material(), chance.material()), 3),
    (lambda chance, size: floor_lamp(1.2 * size, chance.material(), chance.material()), 2),
    (lambda chance, size: fountain(0.6 * size, chance.material(), chance.material()), 1),
    (lambda chance, size: sofa(1.5 * size, chance.material(), chance.material()), 1),
    (lambda chance, size: leaves(chance.rng, size, int(chance.rng.integers(5, 11)), chance.material()), 3),
    (lambda chance, size: ring(0.4 * size, 0.02 * size, chance.material(), chance.material()), 1),
    (lambda chance, size: bicycle(1.2 * size, chance.material(), chance.material()), 1),
    (lambda chance, size: lattice(size, 0.7 * size, 6, 2, thickness=0.015 * size, wood=chance.material()), 1.5),
)
"""What ``Chance.thing`` draws, and how often; add to it to teach a network something new."""
