"""Scene families with thin objects in the colour of their background, and with people in the open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from stream.scenes.renderer.primitives import Material, Primitive, placed
from stream.scenes.renderer.vectors import Vector, about_x, vector
from stream.scenes.scene import FAR_M, Scene
from stream.scenes.world.objects import animal, person
from stream.scenes.world.sampler import Sampler, random_tree
from stream.scenes.world.staging import View, random_light, random_view, spot, surroundings
from stream.scenes.world.thin import bicycle, lattice, leaves, ring, twigs

Thin = Callable[[Sampler, float, Material], list[Primitive]]


def thicket(sampler: Sampler) -> Scene:
    """Leaves, twigs, rings and lattices, most of them in the material of the wall behind; the floor is out of sight."""
    view = View(
        sampler.uniform(1.0, 2.2),
        math.radians(sampler.uniform(-8, 8)),
        float(sampler.rng.normal(0, 0.08)),
        math.radians(sampler.uniform(30, 60)),
    )
    depth = sampler.uniform(0.9, 4.0)
    environment = surroundings(sampler, (-1, -3 * depth, 0), (depth, 3 * depth, view.height_m + 3 * depth), sky=False)
    wall = environment.faces[1]
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(2, 6))):
        ahead = depth * sampler.uniform(0.3, 0.95)
        material = wall if sampler.chance(0.6) else sampler.material()
        parts += _thin(sampler, _low_in_view(sampler, view, ahead), ahead * sampler.uniform(0.3, 1.1), material)
    for _ in range(int(sampler.rng.integers(0, 4))):
        ahead = depth * sampler.uniform(0.4, 0.9)
        parts += sampler.object(_low_in_view(sampler, view, ahead), ahead * sampler.uniform(0.2, 0.6))
    return Scene(tuple(parts), environment, random_light(sampler, view), view.camera())


def meadow(sampler: Sampler) -> Scene:
    """People at 5 to 15 m, animals and bicycles on grass under trees, seen from a person's height or above."""
    view = random_view(sampler, sampler.uniform(1.2, 2.2) if sampler.chance(0.7) else sampler.uniform(2.5, 7), (-18, 4))
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(1, 7))):
        coat, trousers, skin = (sampler.material() for _ in range(3))
        walker = person(sampler.uniform(1.1, 1.95), coat, trousers, skin, sampler.heading())
        parts += placed(walker, spot(sampler, view, 5, 15, 0.95), sampler.heading())
    if sampler.chance(0.3):
        parts += placed(
            animal(sampler.uniform(0.4, 1.2), sampler.material(), sampler.heading()),
            spot(sampler, view, 3, 12),
            sampler.heading(),
        )
    if sampler.chance(0.3):
        parts += placed(
            bicycle(sampler.uniform(1.5, 1.9), sampler.material(), sampler.material()),
            spot(sampler, view, 3, 10),
            sampler.heading(),
        )
    for _ in range(int(sampler.rng.integers(0, 6))):
        parts += placed(random_tree(sampler, sampler.uniform(3, 11)), spot(sampler, view, 7, 50, 1.3))
    environment = surroundings(sampler, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    if sampler.chance(0.7):
        behind, ahead, right, left, floor, ceiling = environment.faces
        environment = replace(environment, faces=(behind, ahead, right, left, _grass(sampler, floor), ceiling))
    return Scene(tuple(parts), environment, random_light(sampler, view, outdoors=True), view.camera())


def _grass(sampler: Sampler, floor: Material) -> Material:
    """The floor's texture in a green between straw and moss."""
    green = (sampler.uniform(0.25, 0.7), sampler.uniform(0.5, 0.8), sampler.uniform(0.1, 0.3))
    return replace(
        floor, tint=green, repeats_per_m=sampler.uniform(0.3, 3), contrast=sampler.uniform(0.3, 1), gloss=0.0
    )


def _low_in_view(sampler: Sampler, view: View, ahead: float) -> Vector:
    """A point for an object's foot in the view, from below the lower edge to the middle."""
    reach = ahead * view.half_width
    return vector(ahead, sampler.uniform(-0.9, 0.9) * reach, view.height_m - sampler.uniform(0.1, 1.0) * reach)


def _thin(sampler: Sampler, foot: Vector, size: float, material: Material) -> list[Primitive]:
    draw = THIN[int(sampler.rng.integers(len(THIN)))]
    lean = about_x(sampler.uniform(-0.25, 0.25))
    parts = draw(sampler, size, replace(material, repeats_per_m=material.repeats_per_m * sampler.uniform(0.8, 1.3)))
    return placed([part.moved(vector(0, 0, 0), lean) for part in parts], foot, sampler.heading())


def _lattice(sampler: Sampler, size: float, wood: Material) -> list[Primitive]:
    upright, level = (int(n) for n in sampler.rng.integers((4, 2), (11, 6)))
    return lattice(1.4 * size, size, upright, level, thickness=size * sampler.uniform(0.006, 0.025), wood=wood)


def _ring(sampler: Sampler, size: float, rubber: Material) -> list[Primitive]:
    return ring(0.45 * size, size * sampler.uniform(0.008, 0.04), rubber, rubber, int(sampler.rng.integers(0, 6)))


THIN: tuple[Thin, ...] = (
    lambda sampler, size, leaf: leaves(sampler.rng, size, int(sampler.rng.integers(6, 16)), leaf),
    lambda sampler, size, leaf: leaves(sampler.rng, size, int(sampler.rng.integers(6, 16)), leaf),
    lambda sampler, size, bark: twigs(sampler.rng, size, int(sampler.rng.integers(4, 12)), bark),
    _ring,
    _lattice,
)
"""Builders of the thin objects in a thicket; leaves are listed twice so that they are drawn most often."""
