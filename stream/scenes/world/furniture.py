"""Furniture built from primitives. It stands on z = 0 at the origin and faces x; sizes are in metres."""

from __future__ import annotations

from collections.abc import Sequence

from stream.scenes.renderer.primitives import Material, Primitive, box, cylinder, ellipsoid
from stream.scenes.renderer.vectors import about_y, vector

BOARD_M = 0.03
"""Thickness of a board, metres."""


def table(length: float, width: float, height: float, wood: Material) -> list[Primitive]:
    """A top on four legs; its upper side is at z = ``height``."""
    legs = [
        box(vector(x * (length / 2 - 0.06), y * (width / 2 - 0.06), height / 2), vector(0.03, 0.03, height / 2), wood)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    return [box(vector(0, 0, height - BOARD_M), vector(length / 2, width / 2, BOARD_M), wood), *legs]


def chair(seat_height: float, wood: Material, cloth: Material) -> list[Primitive]:
    """A seat on four legs; the back is at -x."""
    legs = [
        cylinder(vector(x * 0.19, y * 0.19, seat_height / 2), 0.02, seat_height / 2, wood)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    seat = box(vector(0, 0, seat_height), vector(0.22, 0.22, 0.03), cloth)
    return [seat, box(vector(-0.21, 0, seat_height * 1.55), vector(0.02, 0.2, seat_height * 0.48), wood), *legs]


def sofa(width: float, cloth: Material, cushion: Material) -> list[Primitive]:
    """A seat, a back, two arms, two cushions."""
    half = width / 2
    return [
        box(vector(0, 0, 0.22), vector(0.42, half, 0.2), cloth),
        box(vector(-0.34, 0, 0.58), vector(0.12, half, 0.3), cloth),
        box(vector(0.02, half - 0.1, 0.5), vector(0.4, 0.1, 0.12), cloth),
        box(vector(0.02, 0.1 - half, 0.5), vector(0.4, 0.1, 0.12), cloth),
        ellipsoid(vector(-0.16, half - 0.42, 0.6), vector(0.11, 0.22, 0.2), cushion, about_y(-0.3)),
        ellipsoid(vector(-0.16, 0.46 - half, 0.6), vector(0.11, 0.22, 0.2), cushion, about_y(-0.3)),
    ]


def shelf(
    width: float, height: float, depth: float, boards: int, *, wood: Material, back: Material | None = None
) -> list[Primitive]:
    """Two sides, ``boards`` boards at ``board_heights`` and optionally a back; open at +x."""
    half = vector(depth / 2 - 0.005, width / 2, BOARD_M / 2)
    sides = [
        box(vector(0, y * width / 2, height / 2), vector(depth / 2, BOARD_M / 2, height / 2), wood) for y in (-1, 1)
    ]
    levels = [box(vector(0, 0, z - BOARD_M / 2), half, wood) for z in board_heights(height, boards)]
    panel = vector(0.01, width / 2, height / 2)
    return sides + levels + ([] if back is None else [box(vector(-depth / 2, 0, height / 2), panel, back)])


def board_heights(height: float, boards: int) -> list[float]:
    """z of the upper sides of a shelf's boards, metres."""
    return [0.08 + i * (height - 0.08) / (boards - 1) for i in range(boards)]


def books(width: float, height: float, covers: Sequence[Material]) -> list[Primitive]:
    """A row of books of different heights along y, spines towards +x."""
    step = width / len(covers)
    return [
        box(
            vector(0, (i + 0.5) * step - width / 2, height * (0.42 - 0.06 * (i % 3))),
            vector(0.1 - 0.01 * (i % 2), step * 0.46, height * (0.42 - 0.06 * (i % 3))),
            cover,
        )
        for i, cover in enumerate(covers)
    ]


def painting(width: float, height: float, frame: Material, canvas: Material) -> list[Primitive]:
    """A framed painting centred at the origin, facing x."""
    return [
        box(vector(0, 0, 0), vector(0.015, width / 2, height / 2), frame),
        box(vector(0.01, 0, 0), vector(0.015, width / 2 - 0.04, height / 2 - 0.04), canvas),
    ]


def floor_lamp(height: float, metal: Material, shade: Material) -> list[Primitive]:
    return [
        cylinder(vector(0, 0, 0.015), 0.16, 0.015, metal),
        cylinder(vector(0, 0, height / 2), 0.015, height / 2, metal),
        cylinder(vector(0, 0, height), 0.2, 0.14, shade),
    ]


def board(width: float, height: float, material: Material, lean_rad: float = 0.0) -> list[Primitive]:
    """A sheet that stands upright or leans back by ``lean_rad``."""
    turn = about_y(-lean_rad)
    return [box(turn @ vector(0, 0, height / 2), vector(0.015, width / 2, height / 2), material, turn)]


def awning(width: float, height: float, post: Material, cloth: Material) -> list[Primitive]:
    """A market stall: four posts, a counter and a sloping cloth."""
    posts = [
        cylinder(vector(x * 0.55, y * (width / 2 - 0.05), height / 2), 0.03, height / 2, post)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    counter = box(vector(0.3, 0, 0.45), vector(0.32, width / 2 - 0.08, 0.45), post)
    return [counter, box(vector(0.05, 0, height), vector(0.85, width / 2 + 0.1, 0.02), cloth, about_y(0.22)), *posts]
