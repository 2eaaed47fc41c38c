"""Three-vectors and rotations: numpy arrays for the description of a scene, triples of tensors for the renderer.

The world is right-handed: x ahead, y left, z up (ROS REP 103), in metres; angles are in radians.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Vector: TypeAlias = NDArray[np.float64]
"""(3,) float64, metres unless noted otherwise."""
Matrix: TypeAlias = NDArray[np.float64]
"""(3, 3) float64."""
Triple: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""x, y and z as three tensors that broadcast against each other. On a CPU a tensor axis of length 3 costs several
times as much as the arithmetic itself, so vectors are kept apart by component."""

UPRIGHT: Matrix = np.eye(3)
"""The rotation that changes nothing."""


def vector(x: float, y: float, z: float) -> Vector:
    return np.array([x, y, z], np.float64)


def about_x(angle_rad: float) -> Matrix:
    """A roll; positive angles raise the left side."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float64)


def about_y(angle_rad: float) -> Matrix:
    """A pitch; positive angles lower the front."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float64)


def about_z(angle_rad: float) -> Matrix:
    """A yaw; positive angles turn left."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float64)


def dot(a: Triple, b: Triple) -> Tensor:
    return torch.addcmul(torch.addcmul(a[0] * b[0], a[1], b[1]), a[2], b[2])


def along(start: Triple, direction: Triple, distance: Tensor) -> Triple:
    """``start + distance * direction``."""
    return (
        torch.addcmul(start[0], direction[0], distance),
        torch.addcmul(start[1], direction[1], distance),
        torch.addcmul(start[2], direction[2], distance),
    )


def times(a: Triple, factor: Tensor) -> Triple:
    return a[0] * factor, a[1] * factor, a[2] * factor


def minus(a: Triple, b: Triple) -> Triple:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def inverse_length(a: Triple) -> Tensor:
    """1 / |a|; finite for a zero vector."""
    return dot(a, a).clamp_min(1e-20).rsqrt()


def unit(a: Triple) -> Triple:
    return times(a, inverse_length(a))
