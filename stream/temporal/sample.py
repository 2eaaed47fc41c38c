"""A regular grid of pixels that represents a whole frame in temporal stabilisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.frames import Floats, Image

SAMPLE_PX = 6_000
"""Largest number of pixels in a sample; half as many give the same fit within its noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Depth and brightness of one frame on a grid."""

    depth: Floats
    """(n,) float32, the network's output."""
    gray: NDArray[np.float32]
    """(n,) float32, mean of blue, green and red, 0..255."""


def sample_grid(depth: Floats, image: Image) -> Sample:
    """Sample (H, W) float32 ``depth`` and (H, W, 3) uint8 ``image`` at the same places in every frame of that size."""
    step = max(1, math.ceil(math.sqrt(depth.size / SAMPLE_PX)))
    gray = image[::step, ::step].mean(axis=2, dtype=np.float32)
    return Sample(depth[::step, ::step].ravel(), gray.ravel())
