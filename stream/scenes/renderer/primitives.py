"""The building blocks of a scene: boxes, ellipsoids and capped cylinders, and the material each of them wears.

Every primitive is a unit shape in its own local frame that an affine map places in the world.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from stream.scenes.renderer.vectors import UPRIGHT, Matrix, Vector, about_z

Colour: TypeAlias = tuple[float, float, float]
"""Linear red, green, blue; 1 is a white wall or a light of unit strength."""

WHITE: Colour = (1.0, 1.0, 1.0)


class Shape(IntEnum):
    """The unit shapes. A packed scene keeps its primitives in this order."""

    BOX = 0
    """|x|, |y|, |z| <= 1."""
    ELLIPSOID = 1
    """The unit ball."""
    CYLINDER = 2
    """x^2 + y^2 <= 1, |z| <= 1."""


@dataclass(frozen=True, slots=True)
class Material:
    """A texture of the atlas and how it is applied to a surface."""

    texture: int
    """Index of the texture in the atlas."""
    repeats_per_m: float = 1.0
    """Repeats of the texture per metre of surface."""
    tint: Colour = WHITE
    """Factor of the texture's linear colour."""
    contrast: float = 1.0
    """0 shows only the texture's mean colour, 1 the texture as painted."""
    gloss: float = 0.0
    """Strength of the sun's highlight; 0 is matt."""


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One placed shape: ``world = center + turn @ (half * local)``."""

    shape: Shape
    center: Vector
    """(3,) float64, metres, world."""
    half: Vector
    """(3,) float64: half sizes along the local axes, metres, all positive."""
    material: Material
    turn: Matrix
    """(3, 3) float64: rotation from local to world."""

    def moved(self, base: Vector, turn: Matrix) -> Primitive:
        """A copy rotated about the origin by ``turn`` and then shifted by ``base`` (metres)."""
        return replace(self, center=base + turn @ self.center, turn=turn @ self.turn)


def box(center: Vector, half: Vector, material: Material, turn: Matrix = UPRIGHT) -> Primitive:
    return Primitive(Shape.BOX, center, half, material, turn)


def ellipsoid(center: Vector, half: Vector, material: Material, turn: Matrix = UPRIGHT) -> Primitive:
    return Primitive(Shape.ELLIPSOID, center, half, material, turn)


def cylinder(
    center: Vector, radius_m: float, half_height_m: float, material: Material, turn: Matrix = UPRIGHT
) -> Primitive:
    """A capped cylinder whose axis is the local z."""
    return Primitive(Shape.CYLINDER, center, np.array([radius_m, radius_m, half_height_m]), material, turn)


def placed(parts: Iterable[Primitive], base: Vector, heading_rad: float = 0.0) -> list[Primitive]:
    """Move an object that was built at the origin, facing x, to ``base`` and turn it left by ``heading_rad``."""
    turn = about_z(heading_rad)
    return [part.moved(base, turn) for part in parts]
