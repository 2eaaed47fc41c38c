"""Relative depth is free up to scale and shift, in every frame anew: which ones make this frame fit the one before?

Source of the idea: compute_scale_and_shift of Video-Depth-Anything (Chen et al., 2025), sums over pixels that the two
frames share. A plain least-squares fit shrinks its result by the share of noise in what is fitted, frame after frame;
fitting either map to the other and taking the geometric mean of both slopes does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.frames import Floats
from stream.temporal.sample import Sample

STILL_LEVELS = 6.0
"""A pixel whose brightness changed by so much counts half, by more less: something may have moved there."""
FEWEST_PX = 64
LEAST_CORRELATION = 0.5
"""Maps that have less in common are of different scenes; nothing is carried over."""
ROUNDS = 2
"""Fits; in all but the first, pixels far off the fit before count less."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """``scale * depth + shift`` is in the scale of the frames before."""

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, depth: Floats) -> Floats:
        aligned: Floats = depth * np.float32(self.scale) + np.float32(self.shift)
        return aligned

    def relaxed(self, share: float) -> Alignment:
        """``share`` of the way towards changing nothing."""
        return Alignment(self.scale + share * (1 - self.scale), self.shift * (1 - share))


NONE = Alignment()


def align(now: Sample, before: Sample, aligned_before: Floats) -> Alignment | None:
    """What makes ``now`` fit ``aligned_before``, the depth of ``before`` (n,) after its own alignment.

    None where the two have too little in common.
    """
    known = np.isfinite(now.depth) & np.isfinite(aligned_before)
    if known.sum() < FEWEST_PX:
        return None
    x, y = now.depth[known].astype(np.float64), aligned_before[known].astype(np.float64)
    change = (now.gray - before.gray)[known].astype(np.float64)
    still = 1.0 / (1.0 + (change / STILL_LEVELS) ** 2)
    weights, found = still, None
    for _ in range(ROUNDS):
        found = _fit(x, y, weights)
        if found is None:
            return None
        off = np.abs(found.scale * x + found.shift - y)
        weights = still / (1.0 + (off / (1e-12 + 2 * np.median(off))) ** 2)
    return found


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> Alignment | None:
    total = weights.sum()
    mean_x, mean_y = (weights @ x) / total, (weights @ y) / total
    dx, dy = x - mean_x, y - mean_y
    xx, yy, xy = weights @ (dx * dx), weights @ (dy * dy), weights @ (dx * dy)
    if not (xx > 0 and yy > 0 and xy > LEAST_CORRELATION * np.sqrt(xx * yy)):
        return None
    scale = float(np.sqrt(yy / xx))  # the geometric mean of xy / xx and yy / xy
    return Alignment(scale, float(mean_y - scale * mean_x))
