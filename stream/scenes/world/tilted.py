"""Scene families seen from above, from below and along a wall: depth does not grow towards a horizon."""

from __future__ import annotations

import math
from dataclasses import replace

from stream.scenes.renderer.primitives import Primitive, box, placed
from stream.scenes.renderer.vectors import Vector, about_x, vector
from stream.scenes.scene import FAR_M, Scene
from stream.scenes.world.furniture import floor_lamp, painting
from stream.scenes.world.sampler import Sampler, random_shelf, random_tree
from stream.scenes.world.staging import View, block, random_light, surroundings


def from_above(sampler: Sampler) -> Scene:
    """Objects on a table or street from nearly straight above: the ground is equally far at every edge."""
    height = 0.4 * 10 ** sampler.uniform(0, 1)
    view = View(
        height, math.radians(sampler.uniform(-90, -66)), sampler.heading(), math.radians(sampler.uniform(35, 75))
    )
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(3, 14))):
        across = height * view.half_width
        base = vector(sampler.uniform(-1.0, 1.3) * across, sampler.uniform(-1.1, 1.1) * across, 0)
        parts += sampler.object(base, height * sampler.uniform(0.15, 0.5))
    far = 3 * height
    environment = surroundings(sampler, (-far, -far, 0), (far, far, 2 * far), sky=False)
    return Scene(tuple(parts), environment, random_light(sampler, view), view.camera())


def upward(sampler: Sampler) -> Scene:
    """A ceiling with lamps and beams, or trees and houses from their feet: near objects are at the upper edge."""
    pitch = math.radians(sampler.uniform(18, 60))
    view = View(
        sampler.uniform(0.4, 1.8), pitch, float(sampler.rng.normal(0, 0.15)), math.radians(sampler.uniform(40, 85))
    )
    return _ceiling(sampler, view) if sampler.chance(0.6) else _from_its_foot(sampler, view)


def wall_ahead(sampler: Sampler) -> Scene:
    """A wall that reaches the lower edge, mostly at a slant, with objects that hang on it or stand in front of it."""
    view = View(
        sampler.uniform(1.5, 4),
        math.radians(sampler.uniform(-6, 6)),
        float(sampler.rng.normal(0, 0.06)),
        math.radians(sampler.uniform(30, 60)),
    )
    distance, yaw = sampler.uniform(0.6, 2.6), sampler.uniform(-1.0, 1.0)
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(4, 15))):
        across = distance * math.tan(yaw + sampler.uniform(-1, 1) * view.field_of_view_rad / 2)
        up = view.height_m + sampler.uniform(-0.6, 0.6) * view.half_width * math.hypot(distance, across)
        parts += _on_the_wall(sampler, vector(distance, across, up), distance)
    reach = 12 * distance
    environment = surroundings(sampler, (-1, -reach, 0), (distance, reach, view.height_m + reach), sky=False)
    return Scene(tuple(parts), environment, random_light(sampler, view), replace(view.camera(), yaw_rad=yaw))


def _on_the_wall(sampler: Sampler, at: Vector, distance: float) -> list[Primitive]:
    """A painting, a box that juts out, a shelf, or an object in front of the wall, about a fifth of the view large."""
    size, kind = distance * sampler.uniform(0.12, 0.6), sampler.uniform(0, 1)
    if kind < 0.25:
        return placed(
            painting(size, size * sampler.uniform(0.6, 1.5), sampler.material(), sampler.material()), at, math.pi
        )
    if kind < 0.55:
        half = size * sampler.rng.uniform((0.1, 0.15, 0.15), (0.6, 0.6, 0.8))
        return [box(at, half, sampler.material(), about_x(sampler.uniform(-0.3, 0.3)))]
    if kind < 0.65:
        return placed(random_shelf(sampler, 0.6 * size, 0), at - vector(0.1 * size, 0, 0.5 * size), math.pi)
    return sampler.object(at - vector(sampler.uniform(0.1, 0.6) * distance, 0, 0.5 * size), size)


def _ceiling(sampler: Sampler, view: View) -> Scene:
    height, depth, half_width = (
        view.height_m + sampler.uniform(0.8, 2.5),
        sampler.uniform(2, 8),
        sampler.uniform(1.2, 4),
    )
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(2, 9))):
        at = vector(sampler.uniform(0.5, depth), sampler.uniform(-1, 1) * half_width, 0)
        if sampler.chance(0.4):  # a beam
            half = vector(sampler.uniform(0.03, 0.12), half_width, sampler.uniform(0.03, 0.2))
            parts.append(box(vector(at[0], 0, height - half[2]), half, sampler.material()))
        elif sampler.chance(0.5):  # a lamp hangs head down
            lamp = floor_lamp(sampler.uniform(0.3, 0.9), sampler.material(), sampler.material())
            parts += [part.moved(at + vector(0, 0, height), about_x(math.pi)) for part in lamp]
        else:
            parts += sampler.object(at, sampler.uniform(0.8, 1.9))
    if sampler.chance(0.6):
        shelf = random_shelf(sampler, sampler.uniform(0.9, 1.6), int(sampler.rng.integers(0, 2)))
        parts += placed(shelf, vector(depth - 0.3, sampler.uniform(-0.7, 0.7) * half_width, 0), math.pi)
    environment = surroundings(sampler, (-1.5, -half_width, 0), (depth, half_width, height), sky=False)
    return Scene(tuple(parts), environment, random_light(sampler, view), view.camera())


def _from_its_foot(sampler: Sampler, view: View) -> Scene:
    parts: list[Primitive] = []
    for _ in range(int(sampler.rng.integers(2, 6))):
        ahead = sampler.uniform(3, 20)
        half = sampler.rng.uniform((1.5, 1.5, 4), (5, 6, 20))
        parts.append(block(sampler, vector(ahead + half[0], sampler.uniform(-1.2, 1.2) * ahead, 0), half))
    for _ in range(int(sampler.rng.integers(1, 6))):
        ahead = sampler.uniform(1.2, 9)
        base = vector(ahead, sampler.uniform(-0.9, 0.9) * ahead * view.half_width, 0)
        parts += placed(random_tree(sampler, sampler.uniform(2.5, 9)), base, sampler.heading())
    environment = surroundings(sampler, (-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), sky=True)
    return Scene(tuple(parts), environment, random_light(sampler, view, outdoors=True), view.camera())
