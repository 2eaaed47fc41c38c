"""Families of scenes with thin things of their background's colour, and with people in the open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from stream.scenes.renderer.materials import Material
from stream.scenes.renderer.primitives import Primitive, placed
from stream.scenes.renderer.rotations import Vector, about_x, vector
from stream.scenes.scene import FAR_M, Scene
from stream.scenes.world.objects import animal, person
from stream.scenes.world.staging import View, random_light, random_view, spot, surroundings
from stream.scenes.world.thin import bicycle, lattice, leaves, ring, twigs
from stream.scenes.world.things import Chance, random_tree

Thin = Callable[[Chance, float, Material], list[Primitive]]


def thicket(chance: Chance) -> Scene:
    """Leaves, twigs, rings and lattices, most in the material of the wall behind them; the floor is out of sight."""
    view = View(
        chance.between(1.0, 2.2),
        math.radians(chance.between(-8, 8)),
        float(chance.rng.normal(0, 0.08)),
        math.radians(chance.between(30, 60)),
    )
    depth = chance.between(0.9, 4.0)
    environment = surroundings(chance, (-1, -3 * depth, 0), (depth, 3 * depth, view.height_m + 3 * depth), sky=False)
    wall = environment.faces[1]
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(2, 6))):
        ahead = depth * chance.between(0.3, 0.95)
        own = wall if chance.often(0.6) else chance.material()
        parts += _thin(chance, _low_in_view(chance, view, ahead), ahead * chance.between(0.3, 1.1), own)
    for _ in range(int(chance.rng.integers(0, 4))):
        ahead = depth * chance.between(0.4, 0.9)
        parts += chance.thing(_low_in_view(chance, view, ahead), ahead * chance.between(0.2, 0.6))
    return Scene(tuple(parts), environment, random_light(chance, view), view.camera())


def meadow(chance: Chance) -> Scene:
    """People and animals at 5 to 15 m, and bicycles, on grass under trees; the eye is at a person's height or above."""
    view = random_view(chance, chance.between(1.2, 2.2) if chance.often(0.7) else chance.between(2.5, 7), (-18, 4))
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(1, 7))):
        coat, trousers, skin = (chance.material() for _ in range(3))
        walker = person(chance.between(1.1, 1.95), coat, trousers, skin, chance.heading())
        parts += placed(walker, spot(chance, view, 5, 15, 0.95), chance.heading())
    if chance.often(0.3):
        parts += placed(
            animal(chance.between(0.4, 1.2), chance.material(), chance.heading()),
            spot(chance, view, 3, 12),
            chance.heading(),
        )
    if chance.often(0.3):
        parts += placed(
            bicycle(chance.between(1.5, 1.9), chance.material(), chance.material()),
            spot(chance, view, 3, 10),
            chance.heading(),
        )
    for _ in range(int(chance.rng.integers(0, 6))):
        parts += placed(random_tree(chance, chance.between(3, 11)), spot(chance, view, 7, 50, 1.3))
    environment = surroundings(chance, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    if chance.often(0.7):
        behind, ahead, right, left, floor, ceiling = environment.faces
        environment = replace(environment, faces=(behind, ahead, right, left, _grass(chance, floor), ceiling))
    return Scene(tuple(parts), environment, random_light(chance, view, outdoors=True), view.camera())


def _grass(chance: Chance, floor: Material) -> Material:
    """Any fine texture in a green between straw and moss."""
    green = (chance.between(0.25, 0.7), chance.between(0.5, 0.8), chance.between(0.1, 0.3))
    return replace(floor, tint=green, repeats_per_m=chance.between(0.3, 3), contrast=chance.between(0.3, 1), gloss=0.0)


def _low_in_view(chance: Chance, view: View, ahead: float) -> Vector:
    """Where a thing's foot may be: from below the lower edge to the middle."""
    reach = ahead * view.half_width
    return vector(ahead, chance.between(-0.9, 0.9) * reach, view.height_m - chance.between(0.1, 1.0) * reach)


def _thin(chance: Chance, foot: Vector, size: float, material: Material) -> list[Primitive]:
    draw = THIN[int(chance.rng.integers(len(THIN)))]
    lean = about_x(chance.between(-0.25, 0.25))
    parts = draw(chance, size, replace(material, repeats_per_m=material.repeats_per_m * chance.between(0.8, 1.3)))
    return placed([part.moved(vector(0, 0, 0), lean) for part in parts], foot, chance.heading())


def _lattice(chance: Chance, size: float, wood: Material) -> list[Primitive]:
    upright, level = (int(n) for n in chance.rng.integers((4, 2), (11, 6)))
    return lattice(1.4 * size, size, upright, level, thickness=size * chance.between(0.006, 0.025), wood=wood)


def _ring(chance: Chance, size: float, rubber: Material) -> list[Primitive]:
    return ring(0.45 * size, size * chance.between(0.008, 0.04), rubber, rubber, int(chance.rng.integers(0, 6)))


THIN: tuple[Thin, ...] = (
    lambda chance, size, leaf: leaves(chance.rng, size, int(chance.rng.integers(6, 16)), leaf),
    lambda chance, size, leaf: leaves(chance.rng, size, int(chance.rng.integers(6, 16)), leaf),
    lambda chance, size, bark: twigs(chance.rng, size, int(chance.rng.integers(4, 12)), bark),
    _ring,
    _lattice,
)
"""What grows or stands in a thicket, leaves most often."""
