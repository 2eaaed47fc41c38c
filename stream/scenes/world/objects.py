"""Objects, people and animals built from primitives. They rest on z = 0 at the origin and face x.

``placed`` puts them into a scene. Sizes are in metres. ``stride`` is the phase of a walk in radians; at 0 the legs are
together.
"""

from __future__ import annotations

import math

from stream.scenes.renderer.primitives import Material, Primitive, box, cylinder, ellipsoid
from stream.scenes.renderer.vectors import about_x, about_y, about_z, vector

SWING_RAD = 0.5
"""Largest angle of a leg from the vertical."""


def crate(length: float, width: float, height: float, material: Material) -> list[Primitive]:
    return [box(vector(0, 0, height / 2), vector(length, width, height) / 2, material)]


def stack(side: float, materials: tuple[Material, ...], shrink: float = 0.75) -> list[Primitive]:
    """Boxes on top of each other, each a little turned and ``shrink`` times as large as the one below."""
    parts, z = [], 0.0
    for level, material in enumerate(materials):
        half = side * shrink**level / 2
        parts.append(
            box(vector(0, 0, z + half * 0.9), vector(half, half * 1.1, half * 0.9), material, about_z(0.4 * level))
        )
        z += 1.8 * half
    return parts


def ball(radius: float, material: Material, rolled_rad: float = 0.0) -> list[Primitive]:
    """A ball that has rolled ahead by ``rolled_rad``."""
    return [ellipsoid(vector(0, 0, radius), vector(radius, radius, radius), material, about_y(rolled_rad))]


def drum(radius: float, height: float, material: Material, lid: Material | None = None) -> list[Primitive]:
    """A barrel, tin or column, with a rounded lid if one is given."""
    parts = [cylinder(vector(0, 0, height / 2), radius, height / 2, material)]
    if lid is not None:
        parts.append(ellipsoid(vector(0, 0, height), vector(radius, radius, radius * 0.5), lid))
    return parts


def plant(size: float, leaves: int, pot: Material, leaf: Material) -> list[Primitive]:
    """A pot and a rosette of narrow leaves."""
    parts = [cylinder(vector(0, 0, 0.15 * size), 0.16 * size, 0.15 * size, pot)]
    for i in range(leaves):
        length = size * (0.32 + 0.1 * math.sin(5.0 * i))
        turn = about_z(2.4 * i) @ about_y(0.25 + 0.5 * (i % 3) / 2)
        center = vector(0, 0, 0.28 * size) + turn @ vector(0, 0, length * 0.9)
        parts.append(ellipsoid(center, vector(0.03 * size, 0.09 * size, length), leaf, turn))
    return parts


def bush(size: float, pot: Material, leaf: Material) -> list[Primitive]:
    """A box planter with a round bush."""
    half = size / 2
    return [
        box(vector(0, 0, 0.22 * size), vector(half, half, 0.22 * size), pot),
        ellipsoid(vector(0, 0, 0.72 * size), vector(0.5, 0.5, 0.42) * size, leaf),
    ]


def tree(height: float, bark: Material, leaf: Material, crowns: int = 3, twist_rad: float = 0.0) -> list[Primitive]:
    """A trunk and overlapping crowns."""
    parts = [cylinder(vector(0, 0, 0.25 * height), 0.035 * height, 0.25 * height, bark)]
    for i in range(crowns):
        angle, out = twist_rad + 2.4 * i, 0.13 * height * (i > 0)
        center = vector(out * math.cos(angle), out * math.sin(angle), height * (0.68 + 0.07 * (i % 2)))
        parts.append(ellipsoid(center, vector(0.2, 0.2, 0.24 - 0.02 * i) * height, leaf, about_z(angle)))
    return parts


def person(height: float, coat: Material, trousers: Material, skin: Material, stride: float = 0.0) -> list[Primitive]:
    """A person with two legs, a body, two arms and a head."""
    h, swing = height / 1.75, SWING_RAD * math.sin(stride)
    hip, shoulder = 0.88 * h, 1.38 * h
    parts = [
        ellipsoid(vector(0, 0, 1.15 * h), vector(0.14, 0.2, 0.36) * h, coat),
        ellipsoid(vector(0, 0, 1.62 * h), vector(0.1, 0.09, 0.13) * h, skin),
    ]
    for side in (-1, 1):
        leg, arm = about_y(side * swing), about_x(side * 0.12) @ about_y(-side * 0.8 * swing)
        half = 0.44 * h * math.cos(swing)
        parts.append(
            cylinder(vector(0, side * 0.09 * h, hip) + leg @ vector(0, 0, -half), 0.075 * h, half, trousers, leg)
        )
        parts.append(
            ellipsoid(
                vector(0, side * 0.2 * h, shoulder) + arm @ vector(0, 0, -0.28 * h),
                vector(0.06, 0.06, 0.32) * h,
                coat,
                arm,
            )
        )
    return parts


def animal(length: float, fur: Material, stride: float = 0.0) -> list[Primitive]:
    """A four-legged animal with a body, a head and a tail."""
    leg = 0.45 * length
    parts = [
        ellipsoid(vector(0, 0, 1.25 * leg), vector(0.5, 0.19, 0.21) * length, fur),
        ellipsoid(vector(0.55 * length, 0, 1.7 * leg), vector(0.2, 0.13, 0.14) * length, fur),
        ellipsoid(vector(-0.6 * length, 0, 1.6 * leg), vector(0.04, 0.04, 0.25) * length, fur, about_y(-0.6)),
    ]
    for end in (-1, 1):
        for side in (-1, 1):
            turn = about_y(0.4 * math.sin(stride + math.pi / 2 * (1 - end * side)))
            center = vector(end * 0.33 * length, side * 0.11 * length, leg) + turn @ vector(0, 0, -leg / 2)
            parts.append(cylinder(center, 0.05 * length, leg / 2, fur, turn))
    return parts


def van(length: float, body: Material, glass: Material, rubber: Material) -> list[Primitive]:
    """A van with a body, a cabin and four wheels."""
    x, wheel = length / 2, 0.085 * length
    axle = about_x(math.pi / 2)
    parts = [
        box(vector(0, 0, 0.22 * length), vector(x, 0.2 * length, 0.1 * length), body),
        box(vector(-0.08 * length, 0, 0.38 * length), vector(0.7 * x, 0.18 * length, 0.09 * length), glass),
        box(vector(-0.08 * length, 0, 0.475 * length), vector(0.7 * x, 0.185 * length, 0.012 * length), body),
    ]
    for end in (-0.6, 0.6):
        for side in (-1, 1):
            parts.append(cylinder(vector(end * x, side * 0.18 * length, wheel), wheel, 0.03 * length, rubber, axle))
    return parts


def two_wheeler(length: float, body: Material, rubber: Material) -> list[Primitive]:
    """A scooter with two wheels, a body, a saddle and a handlebar."""
    wheel, axle = 0.2 * length, about_x(math.pi / 2)
    return [
        cylinder(vector(-0.36 * length, 0, wheel), wheel, 0.03 * length, rubber, axle),
        cylinder(vector(0.36 * length, 0, wheel), wheel, 0.03 * length, rubber, axle),
        box(vector(0, 0, 0.32 * length), vector(0.36, 0.05, 0.06) * length, body),
        box(vector(-0.15 * length, 0, 0.45 * length), vector(0.12, 0.06, 0.03) * length, rubber),
        cylinder(vector(0.3 * length, 0, 0.42 * length), 0.02 * length, 0.2 * length, body, about_y(-0.3)),
        cylinder(vector(0.26 * length, 0, 0.6 * length), 0.015 * length, 0.22 * length, rubber, axle),
    ]


def lamp_post(height: float, metal: Material, glass: Material) -> list[Primitive]:
    return [
        cylinder(vector(0, 0, 0.03 * height), 0.035 * height, 0.03 * height, metal),
        cylinder(vector(0, 0, 0.46 * height), 0.014 * height, 0.46 * height, metal),
        ellipsoid(vector(0, 0, 0.95 * height), vector(0.055, 0.055, 0.06) * height, glass),
    ]


def fountain(radius: float, stone: Material, water: Material) -> list[Primitive]:
    """A basin with water, a column and a ball."""
    return [
        cylinder(vector(0, 0, 0.16 * radius), radius, 0.16 * radius, stone),
        cylinder(vector(0, 0, 0.165 * radius), 0.88 * radius, 0.165 * radius, water),
        cylinder(vector(0, 0, 0.45 * radius), 0.14 * radius, 0.45 * radius, stone),
        ellipsoid(vector(0, 0, 0.92 * radius), vector(0.45, 0.45, 0.1) * radius, stone),
        ellipsoid(vector(0, 0, 1.12 * radius), vector(0.16, 0.16, 0.2) * radius, stone),
    ]
