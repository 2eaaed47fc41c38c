"""Thin objects that a coarse network fills in or loses: rings, spokes, lattices, leaves and twigs.

They rest on z = 0 at the origin and face x; sizes are in metres.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from stream.scenes.renderer.primitives import Material, Primitive, box, cylinder, ellipsoid
from stream.scenes.renderer.vectors import Vector, about_x, about_y, about_z, vector

RING_PIECES = 14
"""Straight pieces of a ring; with this many its corners are invisible in small images."""


def rod(start: Vector, end: Vector, radius: float, material: Material) -> Primitive:
    """A round bar from ``start`` to ``end``."""
    way = end - start
    length = float(np.linalg.norm(way))
    x, y, z = way / length
    turn = about_z(math.atan2(y, x)) @ about_y(math.acos(min(1.0, max(-1.0, z))))
    return cylinder((start + end) / 2, radius, length / 2, material, turn)


def ring(radius: float, thickness: float, rubber: Material, metal: Material, spokes: int = 3) -> list[Primitive]:
    """An open wheel, upright in the plane of x and z; ``spokes`` reach from rim to rim."""
    middle = vector(0, 0, radius)
    angles = np.linspace(0, 2 * math.pi, RING_PIECES + 1)
    points = [middle + radius * vector(math.cos(a), 0, math.sin(a)) for a in angles]
    parts = [rod(a, b, thickness, rubber) for a, b in pairwise(points)]
    for angle in np.arange(spokes) * math.pi / max(spokes, 1):
        reach = radius * vector(math.cos(angle), 0, math.sin(angle))
        parts.append(rod(middle - reach, middle + reach, 0.3 * thickness, metal))
    return parts


def bicycle(length: float, paint: Material, rubber: Material) -> list[Primitive]:
    """Two open wheels, a frame of rods, a saddle and a handlebar."""
    radius, thin = 0.2 * length, 0.013 * length
    rear, front = vector(-0.3 * length, 0, 0), vector(0.3 * length, 0, 0)
    axle, fork = rear + vector(0, 0, radius), front + vector(0, 0, radius)
    pedals, saddle = vector(-0.05, 0, 0.17) * length, vector(-0.13, 0, 0.47) * length
    head, bar = vector(0.22, 0, 0.45) * length, vector(0.2, 0, 0.54) * length
    wheel = ring(radius, thin, rubber, paint)
    frame = [(axle, pedals), (axle, saddle), (pedals, saddle), (pedals, head), (saddle, head), (fork, bar)]
    side = vector(0, 0.13 * length, 0)
    return [
        *(part.moved(rear, np.eye(3)) for part in wheel),
        *(part.moved(front, np.eye(3)) for part in wheel),
        *(rod(start, end, thin, paint) for start, end in frame),
        rod(bar - side, bar + side, 0.8 * thin, rubber),
        box(saddle + vector(0, 0, 0.02 * length), vector(0.07, 0.035, 0.015) * length, rubber),
    ]


def lattice(
    width: float, height: float, upright: int, level: int, *, thickness: float, wood: Material
) -> list[Primitive]:
    """A fence, grille or trellis of ``upright`` bars along z and ``level`` bars along y."""
    bars = [
        box(vector(0, y, height / 2), vector(thickness, thickness, height / 2), wood)
        for y in np.linspace(-width / 2, width / 2, upright)
    ]
    rails = [
        box(vector(thickness, 0, z), vector(thickness, width / 2, thickness), wood)
        for z in np.linspace(0.12 * height, 0.95 * height, level)
    ]
    return bars + rails


def leaves(rng: np.random.Generator, size: float, count: int, leaf: Material) -> list[Primitive]:
    """Long flat leaves that grow from one spot in all directions, each turned differently."""
    parts = []
    for _ in range(count):
        length, width = size * rng.uniform(0.25, 0.55), size * rng.uniform(0.015, 0.09)
        turn = about_z(rng.uniform(0, 2 * math.pi)) @ about_y(rng.uniform(0.0, 1.4)) @ about_z(rng.uniform(0, math.pi))
        root = size * vector(rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12), 0)
        parts.append(ellipsoid(root + turn @ vector(0, 0, length), vector(0.006 * size, width, length), leaf, turn))
    return parts


def twigs(rng: np.random.Generator, size: float, count: int, bark: Material) -> list[Primitive]:
    """Thin rods that branch off a stem and lean outwards."""
    stem = rod(vector(0, 0, 0), vector(0, 0, size), 0.014 * size, bark)
    parts = [stem]
    for _ in range(count):
        start = vector(0, 0, size * rng.uniform(0.15, 0.9))
        turn = about_z(rng.uniform(0, 2 * math.pi)) @ about_x(rng.uniform(0.3, 1.3))
        reach = turn @ vector(0, 0, size * rng.uniform(0.2, 0.6))
        parts.append(rod(start, start + reach, 0.008 * size, bark))
    return parts
