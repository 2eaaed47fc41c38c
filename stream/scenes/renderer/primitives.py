"""Boxes, ellipsoids and capped cylinders: each is a unit shape in its own local frame, laid into the world."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from stream.scenes.renderer.materials import Material
from stream.scenes.renderer.rotations import UPRIGHT, Matrix, Vector, about_z


class Shape(IntEnum):
    """The unit shapes; a packed scene keeps its primitives in this order."""

    BOX = 0
    """|x|, |y|, |z| <= 1."""
    ELLIPSOID = 1
    """The unit ball."""
    CYLINDER = 2
    """x^2 + y^2 <= 1, |z| <= 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """``world = center + turn @ (half * local)``."""

    shape: Shape
    center: Vector
    half: Vector
    """Half sizes along the local axes, metres, all positive."""
    material: Material
    turn: Matrix
    """Rotation from local to world."""

    def moved(self, base: Vector, turn: Matrix) -> Primitive:
        """Turned about the origin, then shifted by ``base``."""
        return replace(self, center=base + turn @ self.center, turn=turn @ self.turn)


def box(center: Vector, half: Vector, material: Material, turn: Matrix = UPRIGHT) -> Primitive:
    return Primitive(Shape.BOX, center, half, material, turn)


def ellipsoid(center: Vector, half: Vector, material: Material, turn: Matrix = UPRIGHT) -> Primitive:
    return Primitive(Shape.ELLIPSOID, center, half, material, turn)


def cylinder(
    center: Vector, radius_m: float, half_height_m: float, material: Material, turn: Matrix = UPRIGHT
) -> Primitive:
    """Its axis is the local z."""
    return Primitive(Shape.CYLINDER, center, np.array([radius_m, radius_m, half_height_m]), material, turn)


def placed(parts: Iterable[Primitive], base: Vector, heading_rad: float = 0.0) -> list[Primitive]:
    """A thing built at the origin, facing x, put at ``base`` and turned to the left by ``heading_rad``."""
    turn = about_z(heading_rad)
    return [part.moved(base, turn) for part in parts]
