"""Per-pixel metrics of one depth map against ground truth: rank correlation, AbsRel, RMSE and delta.

AbsRel, RMSE and delta are those of Eigen, Puhrsch and Fergus, "Depth Map Prediction from a Single Image using a
Multi-Scale Deep Network", 2014, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.frames import Kind
from stream.metrics.fit import DEPTH_CAP_M, Array, fitted_inverse, known_pixels, nearness
from stream.metrics.ordinal import spearman


@dataclass(frozen=True, slots=True)
class Score:
    """The metrics of one image. Relative depth is fitted first (``stream.metrics.fit``), metric depth is not."""

    spearman: float
    """Rank correlation of inverse depth, -1..1, without a fit; NaN when either side is flat."""
    abs_rel: float
    """Mean of |depth - ground truth| / ground truth."""
    rmse_m: float
    """Root mean square error, metres."""
    delta1: float
    """Share of pixels whose ratio to the ground truth, either way round, is below 1.25."""
    delta2: float
    """The same share for 1.25^2."""
    delta3: float
    """The same share for 1.25^3."""


def score(prediction: NDArray[np.floating], ground_truth_m: NDArray[np.floating], kind: Kind) -> Score | None:
    """Score depth of any kind against metres, both (H, W) or flat; +inf in the ground truth (sky) is infinitely far.

    Pixels where either is NaN or the ground truth is 0 are left out. All metrics but Spearman's use only pixels nearer
    than 80 m in the ground truth. Returns None when fewer than two of those remain.
    """
    known = known_pixels(prediction, ground_truth_m)
    near = known & (ground_truth_m < DEPTH_CAP_M)
    if near.sum() < 2:
        return None
    ground_truth = ground_truth_m[near].astype(np.float64)
    depth = 1.0 / fitted_inverse(prediction, ground_truth_m, kind)[near]
    return Score(
        spearman(nearness(prediction[known], kind), 1.0 / ground_truth_m[known].astype(np.float64)),
        abs_rel(depth, ground_truth),
        rmse(depth, ground_truth),
        *(delta(depth, ground_truth, 1.25**power) for power in (1, 2, 3)),
    )


def score_relative_inverse(prediction: NDArray[np.floating], ground_truth_m: NDArray[np.floating]) -> Score | None:
    """``score`` for relative inverse depth."""
    return score(prediction, ground_truth_m, "relative_inverse")


def abs_rel(depth: Array, ground_truth: Array) -> float:
    """Mean absolute relative error of flat metres: mean(|depth - ground truth| / ground truth)."""
    return float(np.mean(np.abs(depth - ground_truth) / ground_truth))


def rmse(depth: Array, ground_truth: Array) -> float:
    """Root mean square error of flat metres: sqrt(mean((depth - ground truth)^2)). The farthest pixels dominate it."""
    return float(np.sqrt(np.mean((depth - ground_truth) ** 2)))


def delta(depth: Array, ground_truth: Array, threshold: float = 1.25) -> float:
    """Share of flat pixels whose ratio to the ground truth, either way round, is below ``threshold``."""
    return float(np.mean(np.maximum(depth / ground_truth, ground_truth / depth) < threshold))
