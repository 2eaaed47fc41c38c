"""Are depth edges where they belong, and how steep? The share of each true jump that a map makes at the same place.

Our own figure, in the spirit of the depth boundary errors of Koch et al., "Evaluation of CNN-based Single-Image Depth
Estimation Methods", 2018, but without an edge detector in the prediction, whose threshold would decide the result. An
edge lies between two neighbours in a row or column whose true depths differ by a factor of 1.25 or more. Across it,
from the r-th pixel on one side to the r-th on the other,

    share = clip((p[i + r] - p[i + 1 - r]) / (t[i + r] - t[i + 1 - r]), 0, 1)

with p the fitted and t the true inverse depth, both ending at 80 m; the figure is the mean over all edges. 1: every
jump is made in full within r pixels; a blur over many pixels, an edge elsewhere or none, and a jump the wrong way all
come near 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.metrics.fit import DEPTH_CAP_M, Array

RATIO = 1.25
WIDTH_PER_PX = 160
"""r is one pixel for every so many of the image's width: 2 at 320, so that images of all sizes compare."""
FEWEST = 50
"""With fewer edges there is no figure."""


def edge_share(inverse: Array, truth_m: NDArray[np.floating]) -> float:
    """Mean share of the true jumps, 0..1, made by fitted inverse depth (H, W), 1/m; truth in metres, NaN unknown.

    NaN for an image with fewer than 50 edges that are known on both sides.
    """
    reach = max(1, round(truth_m.shape[1] / WIDTH_PER_PX))
    metres = np.where(truth_m > 0, np.minimum(truth_m, DEPTH_CAP_M), np.nan)
    true_inverse = 1.0 / metres.astype(np.float64)
    across = _shares(inverse, true_inverse, reach)
    down = _shares(inverse.T, true_inverse.T, reach)
    shares = np.concatenate([across, down])
    return float(shares.mean()) if shares.size >= FEWEST else float("nan")


def _shares(inverse: Array, truth: Array, reach: int) -> Array:
    """The shares at all edges between neighbours in a row."""
    if truth.shape[1] < 2 * reach:
        return np.empty(0)
    rows, columns = np.nonzero(_is_edge(truth, reach))
    before, after = columns, columns + 2 * reach - 1
    true_jump = truth[rows, after] - truth[rows, before]
    jump = inverse[rows, after] - inverse[rows, before]
    usable = np.isfinite(jump) & _far_apart(truth[rows, before], truth[rows, after])
    return np.asarray(np.clip(jump[usable] / true_jump[usable], 0.0, 1.0))


def _is_edge(truth: Array, reach: int) -> NDArray[np.bool_]:
    """(H, W - 2 reach + 1): an edge in the middle of the window that begins here."""
    last = truth.shape[1] - reach
    return _far_apart(truth[:, reach - 1 : last], truth[:, reach : last + 1])


def _far_apart(one: Array, other: Array) -> NDArray[np.bool_]:
    """NaN is not far from anything."""
    return np.maximum(one, other) >= RATIO * np.minimum(one, other)
