"""Position and steepness of depth edges: the share of each true jump that a map makes at the same place.

This is a metric of our own, in the spirit of the depth boundary errors of Koch et al., "Evaluation of CNN-based
Single-Image Depth Estimation Methods", 2018. It needs no edge detector on the prediction, whose threshold would decide
the result. An edge lies between two neighbours in a row or column whose true depths differ by a factor of 1.25 or more.
Across it, from the r-th pixel on one side to the r-th on the other,

    share = clip((p[i + r] - p[i + 1 - r]) / (t[i + r] - t[i + 1 - r]), 0, 1)

with p the fitted and t the true inverse depth, both capped at 80 m; the metric is the mean over all edges. It is 1 if
every jump is made in full within r pixels. A blur over many pixels, a misplaced or missing edge and a jump in the wrong
direction all come near 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.metrics.fit import DEPTH_CAP_M, Array

RATIO = 1.25
"""Ratio of neighbouring depths from which they form an edge."""
WIDTH_PER_PX = 160
"""r is one pixel per this many pixels of the image's width, so that images of all sizes compare: 2 at 320."""
MIN_EDGES = 50
"""With fewer edges the metric is NaN."""


def edge_share(inverse: Array, ground_truth_m: NDArray[np.floating]) -> float:
    """Mean share of the true jumps, 0..1, that fitted inverse depth (H, W), 1/m, makes.

    The ground truth is (H, W) metres, NaN where unknown. Returns NaN for an image with fewer than 50 edges that are
    known on both sides.
    """
    reach = max(1, round(ground_truth_m.shape[1] / WIDTH_PER_PX))
    metres = np.where(ground_truth_m > 0, np.minimum(ground_truth_m, DEPTH_CAP_M), np.nan)
    true_inverse = 1.0 / metres.astype(np.float64)
    across = _shares(inverse, true_inverse, reach)
    down = _shares(inverse.T, true_inverse.T, reach)
    shares = np.concatenate([across, down])
    return float(shares.mean()) if shares.size >= MIN_EDGES else float("nan")


def _shares(inverse: Array, ground_truth: Array, reach: int) -> Array:
    """(n,) shares at all edges between neighbours in a row."""
    if ground_truth.shape[1] < 2 * reach:
        return np.empty(0)
    rows, columns = np.nonzero(_is_edge(ground_truth, reach))
    before, after = columns, columns + 2 * reach - 1
    true_jump = ground_truth[rows, after] - ground_truth[rows, before]
    jump = inverse[rows, after] - inverse[rows, before]
    usable = np.isfinite(jump) & _is_jump(ground_truth[rows, before], ground_truth[rows, after])
    return np.asarray(np.clip(jump[usable] / true_jump[usable], 0.0, 1.0))


def _is_edge(ground_truth: Array, reach: int) -> NDArray[np.bool_]:
    """(H, W - 2 reach + 1) bool: True where a window of 2 * reach pixels begins that has an edge in its middle."""
    last = ground_truth.shape[1] - reach
    return _is_jump(ground_truth[:, reach - 1 : last], ground_truth[:, reach : last + 1])


def _is_jump(one: Array, other: Array) -> NDArray[np.bool_]:
    """True where two inverse depths differ by RATIO or more; False for NaN."""
    return np.maximum(one, other) >= RATIO * np.minimum(one, other)
