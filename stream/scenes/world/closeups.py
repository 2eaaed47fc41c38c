"""Families of scenes that one thing fills from edge to edge: nothing in them comes nearer towards the lower edge."""

from __future__ import annotations

import math
from dataclasses import replace

from stream.scenes.renderer.materials import Material
from stream.scenes.renderer.primitives import Primitive, box, cylinder, ellipsoid, placed
from stream.scenes.renderer.rotations import Vector, about_x, about_y, about_z, vector
from stream.scenes.scene import FAR_M, Environment, Scene
from stream.scenes.world.staging import View, random_light, surroundings
from stream.scenes.world.things import Chance


def close_up(chance: Chance) -> Scene:
    """A head, or a heap of round and flat shapes of few materials, before a wall or a far background."""
    view = _level_view(chance)
    distance = chance.between(0.35, 1.6)
    fill = distance * view.half_width * chance.between(0.5, 1.4)
    middle = vector(
        distance + fill, chance.between(-0.35, 0.35) * fill, view.height_m + chance.between(-0.4, 0.3) * fill
    )
    build = _head if chance.often(0.6) else _heap
    tilt = about_z(chance.between(-0.7, 0.7)) @ about_x(chance.between(-0.3, 0.3)) @ about_y(chance.between(-0.3, 0.3))
    parts = [part.moved(middle, tilt) for part in build(chance, fill)]
    return _before(chance, view, parts, distance + 2 * fill)


def curve(chance: Chance) -> Scene:
    """A large ball, egg or column so near that the image shows a part of it, and small things around it."""
    view = _level_view(chance)
    distance, radius = chance.between(0.25, 1.2), chance.between(0.25, 1.2)
    seen = distance * view.half_width
    off = vector(
        0, chance.between(-1, 1) * (0.5 * radius + 0.5 * seen), chance.between(-1, 0.6) * (0.4 * radius + 0.5 * seen)
    )
    middle = vector(distance + radius, 0, view.height_m) + off
    half = radius * chance.rng.uniform((0.9, 0.7, 0.6), (1.1, 1.4, 1.6))
    turn = about_x(chance.between(-1.6, 1.6)) @ about_z(chance.between(-1, 1))
    if chance.often(0.6):
        parts = [ellipsoid(middle, half, finer(chance, chance.material(), distance), turn)]
    else:
        parts = [
            cylinder(middle, radius, radius * chance.between(0.6, 4), finer(chance, chance.material(), distance), turn)
        ]
    for _ in range(int(chance.rng.integers(3, 10))):
        ahead = distance * 5 ** chance.between(0, 1)
        place = _anywhere(chance, view, ahead)
        parts += placed(chance.thing(vector(0, 0, 0), ahead * chance.between(0.1, 0.5)), place, chance.heading())
    return _before(chance, view, parts, distance + 2 * radius)


def finer(chance: Chance, material: Material, distance: float) -> Material:
    """The material with its texture as small as it must be to show ``distance`` metres away."""
    return replace(material, repeats_per_m=material.repeats_per_m * max(1.0, chance.between(0.5, 2.5) / distance))


def _level_view(chance: Chance) -> View:
    """A lens of 28 to 65 degrees, 1.2 to 2.5 m high: the floor begins metres away, where the subject hides it."""
    roll = float(chance.rng.normal(0, 0.08))
    return View(
        chance.between(1.2, 2.5), math.radians(chance.between(-4, 10)), roll, math.radians(chance.between(28, 65))
    )


def _anywhere(chance: Chance, view: View, ahead: float) -> Vector:
    """A place in the view at that distance, at any height."""
    reach = ahead * view.half_width
    return vector(ahead, chance.between(-1, 1) * reach, view.height_m + chance.between(-0.8, 0.5) * reach)


def _before(chance: Chance, view: View, parts: list[Primitive], nearest_m: float) -> Scene:
    """The subject before a wall (one in two), or in the open; a few things between the two."""
    indoors = chance.often(0.6)
    depth = nearest_m * chance.between(1.05, 3) if indoors else FAR_M
    for _ in range(int(chance.rng.integers(0, 6))):
        ahead = nearest_m + (min(depth, 12 * nearest_m) - nearest_m) * chance.between(0, 1)
        parts = parts + chance.thing(_anywhere(chance, view, ahead), ahead * chance.between(0.15, 0.7))
    return Scene(
        tuple(parts),
        _around(chance, view, depth, indoors),
        random_light(chance, view, outdoors=not indoors),
        view.camera(),
    )


def _around(chance: Chance, view: View, depth: float, indoors: bool) -> Environment:
    if not indoors:
        return surroundings(chance, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    width = depth * chance.between(0.9, 3)
    return surroundings(chance, (-1, -width, 0), (depth, width, view.height_m + chance.between(0.8, 4)), sky=False)


def _head(chance: Chance, size: float) -> list[Primitive]:
    """A face that looks at the camera (-x), round the origin: skull, muzzle or nose, eyes, ears, hair, neck, shoulders.

    Half of the faces are all of one material, so that only shading tells the nose from the cheek.
    """
    skin, hair, coat = (finer(chance, chance.material(), size) for _ in range(3))
    eye = skin if chance.often(0.5) else chance.material()
    wide, high, snout = chance.between(0.62, 0.95), chance.between(0.75, 1.05), chance.between(0.1, 0.55)
    parts = [
        ellipsoid(vector(0, 0, 0), vector(0.8, wide, high) * size, skin),
        ellipsoid(vector(-0.72, 0, -0.15) * size, vector(snout, 0.16 + 0.4 * snout, 0.22 + 0.2 * snout) * size, skin),
        ellipsoid(vector(0.15, 0, 0.18) * size, vector(0.85, wide * 1.08, high) * size, hair),
        cylinder(vector(0.25, 0, -1.1) * size, 0.45 * size, 0.7 * size, skin),
        ellipsoid(vector(0.45, 0, -2.0) * size, vector(0.8, 1.7, 0.9) * size, coat),
    ]
    pointed = chance.often(0.5)  # an animal's ears stand up
    for side in (-1, 1):
        parts.append(ellipsoid(vector(-0.62, side * 0.36 * wide, 0.18) * size, vector(0.12, 0.15, 0.1) * size, eye))
        ear = vector(0.1, 0.25, 0.42) if pointed else vector(0.15, 0.08, 0.25)
        at = vector(0.05, side * (0.6 if pointed else 1.05) * wide, high if pointed else 0.0)
        parts.append(
            ellipsoid(at * size, ear * size, skin if chance.often(0.7) else hair, about_x(side * -0.3 * pointed))
        )
    return parts


def _heap(chance: Chance, size: float) -> list[Primitive]:
    """Six to fourteen shapes that overlap, of two or three materials."""
    materials = [finer(chance, chance.material(), size) for _ in range(int(chance.rng.integers(2, 4)))]
    parts = []
    for _ in range(int(chance.rng.integers(6, 15))):
        material = materials[int(chance.rng.integers(len(materials)))]
        turn = about_z(chance.heading()) @ about_x(chance.heading())
        center, half = size * chance.rng.uniform(-1.1, 1.1, 3), size * chance.rng.uniform(0.12, 0.7, 3)
        shape = box if chance.often(0.35) else ellipsoid
        parts.append(shape(center, half, material, turn))
    return parts
