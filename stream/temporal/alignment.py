"""Scale and shift that align a frame's relative depth with the previous frame.

A network's relative depth has an arbitrary scale and shift in every frame. The idea of fitting them over pixels that
two frames share is from compute_scale_and_shift of Video-Depth-Anything (Chen et al., 2025). A plain least-squares fit
shrinks its result by the share of noise in the fitted map, frame after frame; the geometric mean of the slopes of both
directions (reduced major axis) does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.frames import Floats
from stream.temporal.sample import Sample

STILL_LEVELS = 6.0
"""Change of brightness, gray levels of 255, at which a pixel counts half: something may have moved there."""
MIN_SHARED_PX = 64
MIN_CORRELATION = 0.5
"""Maps that correlate less show different scenes, and are not aligned."""
ROUNDS = 2
"""Number of fits; all but the first count pixels less that were far from the previous fit."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Maps depth to the previous frames' scale: ``scale * depth + shift``."""

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, depth: Floats) -> Floats:
        aligned: Floats = depth * np.float32(self.scale) + np.float32(self.shift)
        return aligned

    def relaxed(self, share: float) -> Alignment:
        """The alignment moved by ``share``, 0..1, of the way to the identity."""
        return Alignment(self.scale + share * (1 - self.scale), self.shift * (1 - share))


IDENTITY = Alignment()


def align(now: Sample, before: Sample, aligned_before: Floats) -> Alignment | None:
    """The alignment of ``now`` to ``aligned_before``, (n,) float32, the depth of ``before`` after its own alignment.

    None if the two share too few pixels or correlate too little.
    """
    known = np.isfinite(now.depth) & np.isfinite(aligned_before)
    if known.sum() < MIN_SHARED_PX:
        return None
    x, y = now.depth[known].astype(np.float64), aligned_before[known].astype(np.float64)
    change = (now.gray - before.gray)[known].astype(np.float64)
    still = 1.0 / (1.0 + (change / STILL_LEVELS) ** 2)  # Cauchy weights
    weights, fit = still, None
    for _ in range(ROUNDS):
        fit = _fit(x, y, weights)
        if fit is None:
            return None
        # 1e-12, because a perfect fit has no residual to divide by.
        residual = np.abs(fit.scale * x + fit.shift - y)
        weights = still / (1.0 + (residual / (1e-12 + 2 * np.median(residual))) ** 2)
    return fit


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> Alignment | None:
    total = weights.sum()
    mean_x, mean_y = (weights @ x) / total, (weights @ y) / total
    dx, dy = x - mean_x, y - mean_y
    xx, yy, xy = weights @ (dx * dx), weights @ (dy * dy), weights @ (dx * dy)
    if not (xx > 0 and yy > 0 and xy > MIN_CORRELATION * np.sqrt(xx * yy)):
        return None
    scale = float(np.sqrt(yy / xx))  # the geometric mean of xy / xx and yy / xy
    return Alignment(scale, float(mean_y - scale * mean_x))
