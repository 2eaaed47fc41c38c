"""Scene families that one object fills from edge to edge: depth does not shrink towards the lower edge of the image."""

from __future__ import annotations

import math
from dataclasses import replace

from stream.scenes.renderer.primitives import Material, Primitive, box, cylinder, ellipsoid, placed
from stream.scenes.renderer.vectors import Vector, about_x, about_y, about_z, vector
from stream.scenes.scene import FAR_M, Environment, Scene
from stream.scenes.world.sampler import Sampler
from stream.scenes.world.staging import View, random_light, surroundings


def close_up(sampler: Sampler) -> Scene:
    """A head, or a heap of round and flat shapes of few materials, in front of a wall or a far background."""
    view = _level_view(sampler)
    distance = sampler.uniform(0.35, 1.6)
    fill = distance * view.half_width * sampler.uniform(0.5, 1.4)
    middle = vector(
        distance + fill, sampler.uniform(-0.35, 0.35) * fill, view.height_m + sampler.uniform(-0.4, 0.3) * fill
    )
    build = _head if sampler.chance(0.6) else _heap
    tilt = (
        about_z(sampler.uniform(-0.7, 0.7)) @ about_x(sampler.uniform(-0.3, 0.3)) @ about_y(sampler.uniform(-0.3, 0.3))
    )
    parts = [part.moved(middle, tilt) for part in build(sampler, fill)]
    return _with_background(sampler, view, parts, distance + 2 * fill)


def curve(sampler: Sampler) -> Scene:
    """A ball, egg or column so near that the image shows only a part of it, and small objects around it."""
    view = _level_view(sampler)
    distance, radius = sampler.uniform(0.25, 1.2), sampler.uniform(0.25, 1.2)
    visible_half_width = distance * view.half_width
    offset = vector(
        0,
        sampler.uniform(-1, 1) * (0.5 * radius + 0.5 * visible_half_width),
        sampler.uniform(-1, 0.6) * (0.4 * radius + 0.5 * visible_half_width),
    )
    middle = vector(distance + radius, 0, view.height_m) + offset
    half = radius * sampler.rng.uniform((0.9, 0.7, 0.6), (1.1, 1.4, 1.6))
    turn = about_x(sampler.uniform(-1.6, 1.6)) @ about_z(sampler.uniform(-1, 1))
    if sampler.chance(0.6):
        parts = [ellipsoid(middle, half, _with_finer_texture(sampler, sampler.material(), distance), turn)]
    else:
        parts = [
            cylinder(
                middle,
                radius,
                radius * sampler.uniform(0.6, 4),
                _with_finer_texture(sampler, sampler.material(), distance),
                turn,
            )
        ]
    for _ in range(int(sampler.rng.integers(3, 10))):
        ahead = distance * 5 ** sampler.uniform(0, 1)
        base = _point_in_view(sampler, view, ahead)
        parts += placed(sampler.object(vector(0, 0, 0), ahead * sampler.uniform(0.1, 0.5)), base, sampler.heading())
    return _with_background(sampler, view, parts, distance + 2 * radius)


def _with_finer_texture(sampler: Sampler, material: Material, distance: float) -> Material:
    """The material with its texture repeated often enough to be visible at ``distance`` metres."""
    return replace(material, repeats_per_m=material.repeats_per_m * max(1.0, sampler.uniform(0.5, 2.5) / distance))


def _level_view(sampler: Sampler) -> View:
    """A view of 28 to 65 degrees from 1.2 to 2.5 m: the floor begins metres away, where the subject hides it."""
    roll = float(sampler.rng.normal(0, 0.08))
    return View(
        sampler.uniform(1.2, 2.5), math.radians(sampler.uniform(-4, 10)), roll, math.radians(sampler.uniform(28, 65))
    )


def _point_in_view(sampler: Sampler, view: View, ahead: float) -> Vector:
    """A point in the view ``ahead`` metres away, at any height."""
    reach = ahead * view.half_width
    return vector(ahead, sampler.uniform(-1, 1) * reach, view.height_m + sampler.uniform(-0.8, 0.5) * reach)


def _with_background(sampler: Sampler, view: View, parts: list[Primitive], nearest_m: float) -> Scene:
    """Put the subject in front of a wall (six in ten) or in the open, with a few objects between the two."""
    indoors = sampler.chance(0.6)
    depth = nearest_m * sampler.uniform(1.05, 3) if indoors else FAR_M
    for _ in range(int(sampler.rng.integers(0, 6))):
        ahead = nearest_m + (min(depth, 12 * nearest_m) - nearest_m) * sampler.uniform(0, 1)
        parts = parts + sampler.object(_point_in_view(sampler, view, ahead), ahead * sampler.uniform(0.15, 0.7))
    return Scene(
        tuple(parts),
        _environment(sampler, view, depth, indoors),
        random_light(sampler, view, outdoors=not indoors),
        view.camera(),
    )


def _environment(sampler: Sampler, view: View, depth: float, indoors: bool) -> Environment:
    if not indoors:
        return surroundings(sampler, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    width = depth * sampler.uniform(0.9, 3)
    return surroundings(sampler, (-1, -width, 0), (depth, width, view.height_m + sampler.uniform(0.8, 4)), sky=False)


def _head(sampler: Sampler, size: float) -> list[Primitive]:
    """A head at the origin that faces the camera (-x), with muzzle or nose, eyes, ears, hair, neck and shoulders.

    In half of them the eyes have the material of the skin, so that only shading separates the features.
    """
    skin, hair, coat = (_with_finer_texture(sampler, sampler.material(), size) for _ in range(3))
    eye = skin if sampler.chance(0.5) else sampler.material()
    wide, high, snout = sampler.uniform(0.62, 0.95), sampler.uniform(0.75, 1.05), sampler.uniform(0.1, 0.55)
    parts = [
        ellipsoid(vector(0, 0, 0), vector(0.8, wide, high) * size, skin),
        ellipsoid(vector(-0.72, 0, -0.15) * size, vector(snout, 0.16 + 0.4 * snout, 0.22 + 0.2 * snout) * size, skin),
        ellipsoid(vector(0.15, 0, 0.18) * size, vector(0.85, wide * 1.08, high) * size, hair),
        cylinder(vector(0.25, 0, -1.1) * size, 0.45 * size, 0.7 * size, skin),
        ellipsoid(vector(0.45, 0, -2.0) * size, vector(0.8, 1.7, 0.9) * size, coat),
    ]
    pointed = sampler.chance(0.5)  # an animal's ears stand up
    for side in (-1, 1):
        parts.append(ellipsoid(vector(-0.62, side * 0.36 * wide, 0.18) * size, vector(0.12, 0.15, 0.1) * size, eye))
        ear = vector(0.1, 0.25, 0.42) if pointed else vector(0.15, 0.08, 0.25)
        center = vector(0.05, side * (0.6 if pointed else 1.05) * wide, high if pointed else 0.0)
        parts.append(
            ellipsoid(center * size, ear * size, skin if sampler.chance(0.7) else hair, about_x(side * -0.3 * pointed))
        )
    return parts


def _heap(sampler: Sampler, size: float) -> list[Primitive]:
    """Six to fourteen overlapping shapes of two or three materials."""
    materials = [_with_finer_texture(sampler, sampler.material(), size) for _ in range(int(sampler.rng.integers(2, 4)))]
    parts = []
    for _ in range(int(sampler.rng.integers(6, 15))):
        material = materials[int(sampler.rng.integers(len(materials)))]
        turn = about_z(sampler.heading()) @ about_x(sampler.heading())
        center, half = size * sampler.rng.uniform(-1.1, 1.1, 3), size * sampler.rng.uniform(0.12, 0.7, 3)
        shape = box if sampler.chance(0.35) else ellipsoid
        parts.append(shape(center, half, material, turn))
    return parts
