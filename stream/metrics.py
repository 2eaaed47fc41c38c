"""How good depth is: the field's usual figures, on flat arrays, after the fit that relative depth is entitled to.

Relative inverse depth is free up to scale and shift, so it is first fitted to the true inverse depth by least squares
(Ranftl et al., "Towards Robust Monocular Depth Estimation", 2020, section 5); the scale must not be negative, for a
free sign would rescue an inverted map. AbsRel and delta are those of Eigen et al. 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DEPTH_CAP_M = 80.0
"""The usual cap for outdoor scenes (Ranftl et al. for KITTI): farther truth is left out of the ratios, and fitted depth
ends there. Without it a shift that puts the horizon at an inverse depth below zero would decide the whole figure."""


@dataclass(frozen=True, slots=True)
class Score:
    """One picture against its truth."""

    spearman: float
    """Rank correlation of inverse depth, -1..1; needs no fit. NaN when either side is flat."""
    abs_rel: float
    """Mean of |depth - truth| / truth after the fit."""
    delta1: float
    """Share of pixels with max(depth / truth, truth / depth) < 1.25 after the fit."""


def score_relative_inverse(prediction: NDArray[np.floating], truth_m: NDArray[np.floating]) -> Score | None:
    """Score relative inverse depth against metres, both (H, W) or flat; +inf truth (sky) counts as infinitely far.

    Pixels where either is NaN are left out. AbsRel and delta1 are ratios of distances and take only pixels whose truth
    is nearer than 80 m. None when fewer than two of those remain.
    """
    known = np.isfinite(prediction) & ~np.isnan(truth_m) & (truth_m > 0)
    guess, inverse = prediction[known].astype(np.float64), 1.0 / truth_m[known].astype(np.float64)
    near = inverse > 1.0 / DEPTH_CAP_M
    if near.sum() < 2:
        return None
    scale, shift = fit_scale_and_shift(guess, inverse)
    depth = 1.0 / np.maximum(scale * guess[near] + shift, 1.0 / DEPTH_CAP_M)
    return Score(spearman(guess, inverse), abs_rel(depth, 1.0 / inverse[near]), delta(depth, 1.0 / inverse[near]))


def fit_scale_and_shift(guess: Array, target: Array) -> tuple[float, float]:
    """The scale >= 0 and shift that bring ``guess`` closest to ``target`` in the least-squares sense."""
    centred = guess - guess.mean()
    variance = float(centred @ centred)
    scale = max(0.0, float(centred @ (target - target.mean())) / variance) if variance > 0 else 0.0
    return scale, float(target.mean() - scale * guess.mean())


def abs_rel(depth: Array, truth: Array) -> float:
    """Mean absolute relative error."""
    return float(np.mean(np.abs(depth - truth) / truth))


def delta(depth: Array, truth: Array, threshold: float = 1.25) -> float:
    """Share of pixels whose ratio to the truth, either way round, is below ``threshold``."""
    return float(np.mean(np.maximum(depth / truth, truth / depth) < threshold))


def spearman(a: Array, b: Array) -> float:
    """Rank correlation; equal values share their mean rank. NaN when either side is flat."""
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    ranks_a -= ranks_a.mean()
    ranks_b -= ranks_b.mean()
    norm = float(np.sqrt((ranks_a @ ranks_a) * (ranks_b @ ranks_b)))
    return float(ranks_a @ ranks_b) / norm if norm > 0 else float("nan")


def _ranks(values: Array) -> Array:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which], np.float64)
