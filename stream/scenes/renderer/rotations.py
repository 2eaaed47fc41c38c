"""Rotations of the scenes' world: right-handed, metres, x ahead, y left, z up (ROS REP 103); angles in radians."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
"""(3,) float64, metres unless said otherwise."""
Matrix: TypeAlias = NDArray[np.float64]
"""(3, 3) float64."""

UPRIGHT: Matrix = np.eye(3)


def vector(x: float, y: float, z: float) -> Vector:
    return np.array([x, y, z], np.float64)


def about_x(angle_rad: float) -> Matrix:
    """Positive: the left side goes up."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float64)


def about_y(angle_rad: float) -> Matrix:
    """Positive: the front goes down."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float64)


def about_z(angle_rad: float) -> Matrix:
    """Positive: a turn to the left."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float64)
