"""Three-vectors as three tensors: on a CPU a tensor axis of length 3 costs several times the arithmetic itself."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

Triple: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""x, y and z as tensors that broadcast against each other."""


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
