"""The fit that depth without a scale is entitled to before it is compared with metres.

Relative inverse depth is free up to scale and shift, so both are chosen by least squares against the true inverse depth
(Ranftl et al., "Towards Robust Monocular Depth Estimation", 2020, section 5). The scale must not be negative: a free
sign would rescue a map that is inside out. Metric depth is compared as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.frames import Kind

Array = NDArray[np.float64]

DEPTH_CAP_M = 80.0
"""The usual cap for outdoor scenes (Ranftl et al. for KITTI): farther truth is left out of the ratios, and fitted depth
ends there. Without it a shift that puts the horizon at an inverse depth below zero would decide the whole figure."""
NEAREST_M = 1e-3
"""Metric depth of 0 or below is taken for this: wrong by any measure, yet finite."""


def nearness(prediction: NDArray[np.floating], kind: Kind) -> Array:
    """Depth of any kind, any shape, as something that is larger where it is nearer; for ranks, which need no fit."""
    values = prediction.astype(np.float64)
    return values if kind == "relative_inverse" else -values


def known_pixels(prediction: NDArray[np.floating], truth_m: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where both say something: finite prediction, truth above 0 (NaN and 0 are unknown, +inf is sky)."""
    return np.asarray(np.isfinite(prediction) & ~np.isnan(truth_m) & (truth_m > 0))


def fitted_inverse(prediction: NDArray[np.floating], truth_m: NDArray[np.floating], kind: Kind) -> Array:
    """Inverse depth, 1/m, of the prediction's shape, after the fit that its kind allows; NaN where it is not finite.

    metric: ``1 / prediction``, no fit. relative_inverse: scale and shift in inverse depth, over all known pixels, the
    sky at 0. relative: scale and shift in depth, over the truth nearer than 80 m. No depth is farther than 80 m.
    """
    values = np.where(np.isfinite(prediction), prediction, np.nan).astype(np.float64)
    known = known_pixels(prediction, truth_m)
    farthest = 1.0 / DEPTH_CAP_M
    if kind == "relative_inverse":
        scale, shift = fit_scale_and_shift(values[known], 1.0 / truth_m[known].astype(np.float64))
        return np.asarray(np.maximum(scale * values + shift, farthest))
    if kind == "relative":
        near = known & (truth_m < DEPTH_CAP_M)
        scale, shift = fit_scale_and_shift(values[near], truth_m[near].astype(np.float64))
        values = scale * values + shift
    return np.asarray(1.0 / np.clip(values, NEAREST_M, DEPTH_CAP_M))


def fit_scale_and_shift(guess: Array, target: Array) -> tuple[float, float]:
    """The scale >= 0 and shift that bring flat ``guess`` closest to ``target`` in the least-squares sense."""
    if guess.size == 0:
        return 0.0, 0.0
    centred = guess - guess.mean()
    variance = float(centred @ centred)
    scale = max(0.0, float(centred @ (target - target.mean())) / variance) if variance > 0 else 0.0
    return scale, float(target.mean() - scale * guess.mean())
