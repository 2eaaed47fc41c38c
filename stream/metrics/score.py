"""One image's depth against its truth, in all figures that look at pixels one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.frames import Kind
from stream.metrics.fit import DEPTH_CAP_M, fitted_inverse, known_pixels, nearness
from stream.metrics.ranks import spearman
from stream.metrics.ratios import abs_rel, delta, rmse


@dataclass(frozen=True, slots=True)
class Score:
    """One image against its truth; relative depth after its fit (``stream.metrics.fit``), metric depth as it is."""

    spearman: float
    """Rank correlation of inverse depth, -1..1; needs no fit. NaN when either side is flat."""
    abs_rel: float
    """Mean of |depth - truth| / truth."""
    rmse_m: float
    """Root mean square error, metres."""
    delta1: float
    """Share of pixels with max(depth / truth, truth / depth) < 1.25."""
    delta2: float
    """The same for 1.25^2."""
    delta3: float
    """The same for 1.25^3."""


def score(prediction: NDArray[np.floating], truth_m: NDArray[np.floating], kind: Kind) -> Score | None:
    """Score depth of any kind against metres, both (H, W) or flat; +inf truth (sky) counts as infinitely far.

    Pixels where either is NaN, or the truth is 0, are left out. All figures but Spearman's take only pixels whose truth
    is nearer than 80 m. None when fewer than two of those remain.
    """
    known = known_pixels(prediction, truth_m)
    near = known & (truth_m < DEPTH_CAP_M)
    if near.sum() < 2:
        return None
    truth = truth_m[near].astype(np.float64)
    depth = 1.0 / fitted_inverse(prediction, truth_m, kind)[near]
    return Score(
        spearman(nearness(prediction[known], kind), 1.0 / truth_m[known].astype(np.float64)),
        abs_rel(depth, truth),
        rmse(depth, truth),
        *(delta(depth, truth, 1.25**power) for power in (1, 2, 3)),
    )


def score_relative_inverse(prediction: NDArray[np.floating], truth_m: NDArray[np.floating]) -> Score | None:
    """``score`` of relative inverse depth."""
    return score(prediction, truth_m, "relative_inverse")
