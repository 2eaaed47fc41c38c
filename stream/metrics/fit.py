"""Scale-and-shift alignment of relative depth before it is compared with metres.

Relative inverse depth is defined up to scale and shift, so both are fitted by least squares to the true inverse depth
(Ranftl et al., "Towards Robust Monocular Depth Estimation", 2020, section 5). The scale must not be negative, because a
free sign would rescue an inverted map. Metric depth is compared without a fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.frames import Kind

Array = NDArray[np.float64]

DEPTH_CAP_M = 80.0
"""The usual cap for outdoor scenes (Ranftl et al. for KITTI): farther ground truth is left out of the ratios, and
fitted depth is clamped to it. Without the cap, a shift that puts the horizon at a negative inverse depth would
dominate."""
NEAREST_M = 1e-3
"""Metric depth of 0 or below is replaced by this value, which is wrong by any metric, yet finite."""


def nearness(prediction: NDArray[np.floating], kind: Kind) -> Array:
    """Depth of any kind and shape as values that are larger where it is nearer; for ranks, which need no fit."""
    values = prediction.astype(np.float64)
    return values if kind == "relative_inverse" else -values


def known_pixels(prediction: NDArray[np.floating], ground_truth_m: NDArray[np.floating]) -> NDArray[np.bool_]:
    """True where the prediction is finite and the ground truth above 0 (NaN and 0 are unknown, +inf is sky)."""
    return np.asarray(np.isfinite(prediction) & ~np.isnan(ground_truth_m) & (ground_truth_m > 0))


def fitted_inverse(prediction: NDArray[np.floating], ground_truth_m: NDArray[np.floating], kind: Kind) -> Array:
    """Inverse depth, 1/m, in the prediction's shape, after the fit that its kind allows; NaN where it is not finite.

    metric: ``1 / prediction``, no fit. relative_inverse: scale and shift in inverse depth over all known pixels, with
    the sky at 0. relative: scale and shift in depth, over ground truth nearer than 80 m. The result is at most 80 m
    far.
    """
    values = np.where(np.isfinite(prediction), prediction, np.nan).astype(np.float64)
    known = known_pixels(prediction, ground_truth_m)
    farthest = 1.0 / DEPTH_CAP_M
    if kind == "relative_inverse":
        scale, shift = fit_scale_and_shift(values[known], 1.0 / ground_truth_m[known].astype(np.float64))
        return np.asarray(np.maximum(scale * values + shift, farthest))
    if kind == "relative":
        near = known & (ground_truth_m < DEPTH_CAP_M)
        scale, shift = fit_scale_and_shift(values[near], ground_truth_m[near].astype(np.float64))
        values = scale * values + shift
    return np.asarray(1.0 / np.clip(values, NEAREST_M, DEPTH_CAP_M))


def fit_scale_and_shift(prediction: Array, target: Array) -> tuple[float, float]:
    """The scale >= 0 and the shift that fit flat ``prediction`` to ``target`` by least squares; (0, 0) for no pixel."""
    if prediction.size == 0:
        return 0.0, 0.0
    # Centred first: sums of raw squares cancel where the values are far from zero and close together.
    centred = prediction - prediction.mean()
    variance = float(centred @ centred)
    scale = max(0.0, float(centred @ (target - target.mean())) / variance) if variance > 0 else 0.0
    return scale, float(target.mean() - scale * prediction.mean())
