"""Families seen from above, from below and along a wall: depth grows some other way than towards the horizon."""

from __future__ import annotations

import math
from dataclasses import replace

from stream.scenes.renderer.primitives import Primitive, box, placed
from stream.scenes.renderer.rotations import Vector, about_x, vector
from stream.scenes.scene import FAR_M, Scene
from stream.scenes.world.furniture import floor_lamp, image
from stream.scenes.world.staging import View, block, random_light, surroundings
from stream.scenes.world.things import Chance, random_shelf, random_tree


def from_above(chance: Chance) -> Scene:
    """Things on a table, a desk, a street, seen from nearly straight above: the ground is as far at every edge."""
    height = 0.4 * 10 ** chance.between(0, 1)
    view = View(height, math.radians(chance.between(-90, -66)), chance.heading(), math.radians(chance.between(35, 75)))
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(3, 14))):
        across = height * view.half_width
        base = vector(chance.between(-1.0, 1.3) * across, chance.between(-1.1, 1.1) * across, 0)
        parts += chance.thing(base, height * chance.between(0.15, 0.5))
    far = 3 * height
    environment = surroundings(chance, (-far, -far, 0), (far, far, 2 * far), sky=False)
    return Scene(tuple(parts), environment, random_light(chance, view), view.camera())


def upward(chance: Chance) -> Scene:
    """A ceiling with what hangs from it, or trees and houses from their feet: near things are at the upper edge."""
    pitch = math.radians(chance.between(18, 60))
    view = View(
        chance.between(0.4, 1.8), pitch, float(chance.rng.normal(0, 0.15)), math.radians(chance.between(40, 85))
    )
    return _ceiling(chance, view) if chance.often(0.6) else _from_its_foot(chance, view)


def wall_ahead(chance: Chance) -> Scene:
    """A wall that reaches the lower edge, mostly seen aslant, with things that hang on it or stand before it."""
    view = View(
        chance.between(1.5, 4),
        math.radians(chance.between(-6, 6)),
        float(chance.rng.normal(0, 0.06)),
        math.radians(chance.between(30, 60)),
    )
    distance, yaw = chance.between(0.6, 2.6), chance.between(-1.0, 1.0)
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(4, 15))):
        across = distance * math.tan(yaw + chance.between(-1, 1) * view.field_of_view_rad / 2)
        up = view.height_m + chance.between(-0.6, 0.6) * view.half_width * math.hypot(distance, across)
        parts += _on_the_wall(chance, vector(distance, across, up), distance)
    reach = 12 * distance
    environment = surroundings(chance, (-1, -reach, 0), (distance, reach, view.height_m + reach), sky=False)
    return Scene(tuple(parts), environment, random_light(chance, view), replace(view.camera(), yaw_rad=yaw))


def _on_the_wall(chance: Chance, at: Vector, distance: float) -> list[Primitive]:
    """An image, a box that juts out, a shelf, or a thing in front of the wall, about a fifth of the view large."""
    size, kind = distance * chance.between(0.12, 0.6), chance.between(0, 1)
    if kind < 0.25:
        return placed(image(size, size * chance.between(0.6, 1.5), chance.material(), chance.material()), at, math.pi)
    if kind < 0.55:
        half = size * chance.rng.uniform((0.1, 0.15, 0.15), (0.6, 0.6, 0.8))
        return [box(at, half, chance.material(), about_x(chance.between(-0.3, 0.3)))]
    if kind < 0.65:
        return placed(random_shelf(chance, 0.6 * size, 0), at - vector(0.1 * size, 0, 0.5 * size), math.pi)
    return chance.thing(at - vector(chance.between(0.1, 0.6) * distance, 0, 0.5 * size), size)


def _ceiling(chance: Chance, view: View) -> Scene:
    height, depth, half_width = view.height_m + chance.between(0.8, 2.5), chance.between(2, 8), chance.between(1.2, 4)
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(2, 9))):
        at = vector(chance.between(0.5, depth), chance.between(-1, 1) * half_width, 0)
        if chance.often(0.4):  # a beam
            half = vector(chance.between(0.03, 0.12), half_width, chance.between(0.03, 0.2))
            parts.append(box(vector(at[0], 0, height - half[2]), half, chance.material()))
        elif chance.often(0.5):  # a lamp hangs head down
            lamp = floor_lamp(chance.between(0.3, 0.9), chance.material(), chance.material())
            parts += [part.moved(at + vector(0, 0, height), about_x(math.pi)) for part in lamp]
        else:
            parts += chance.thing(at, chance.between(0.8, 1.9))
    if chance.often(0.6):
        shelf = random_shelf(chance, chance.between(0.9, 1.6), int(chance.rng.integers(0, 2)))
        parts += placed(shelf, vector(depth - 0.3, chance.between(-0.7, 0.7) * half_width, 0), math.pi)
    environment = surroundings(chance, (-1.5, -half_width, 0), (depth, half_width, height), sky=False)
    return Scene(tuple(parts), environment, random_light(chance, view), view.camera())


def _from_its_foot(chance: Chance, view: View) -> Scene:
    parts: list[Primitive] = []
    for _ in range(int(chance.rng.integers(2, 6))):
        ahead = chance.between(3, 20)
        half = chance.rng.uniform((1.5, 1.5, 4), (5, 6, 20))
        parts.append(block(chance, vector(ahead + half[0], chance.between(-1.2, 1.2) * ahead, 0), half))
    for _ in range(int(chance.rng.integers(1, 6))):
        ahead = chance.between(1.2, 9)
        base = vector(ahead, chance.between(-0.9, 0.9) * ahead * view.half_width, 0)
        parts += placed(random_tree(chance, chance.between(2.5, 9)), base, chance.heading())
    environment = surroundings(chance, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    return Scene(tuple(parts), environment, random_light(chance, view, outdoors=True), view.camera())
