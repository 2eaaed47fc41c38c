"""Few pixels that stand for a whole map: what steadiness is computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.frames import Floats, Image

SAMPLE_PX = 6_000
"""No more pixels than this are looked at, on a regular grid; half of them bring the same fit within its noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Depth and brightness of one frame on a grid."""

    depth: Floats
    """(n,) float32, as the network said it."""
    gray: NDArray[np.float32]
    """(n,) mean of blue, green and red, 0..255."""


def grid_of(depth: Floats, image: Image) -> Sample:
    """(H, W) ``depth`` and its image (H, W, 3), sampled in the same places for every frame of that size."""
    step = max(1, math.ceil(math.sqrt(depth.size / SAMPLE_PX)))
    gray = image[::step, ::step].mean(axis=2, dtype=np.float32)
    return Sample(depth[::step, ::step].ravel(), gray.ravel())
