"""Figures pixel by pixel, on flat arrays of metres: Eigen, Puhrsch and Fergus, "Depth Map Prediction from a Single
Image using a Multi-Scale Deep Network", 2014, section 4."""

from __future__ import annotations

import numpy as np

from stream.metrics.fit import Array


def abs_rel(depth: Array, truth: Array) -> float:
    """Mean absolute relative error: mean(|depth - truth| / truth)."""
    return float(np.mean(np.abs(depth - truth) / truth))


def rmse(depth: Array, truth: Array) -> float:
    """Root mean square error, metres: sqrt(mean((depth - truth)^2)). The farthest pixels decide it."""
    return float(np.sqrt(np.mean((depth - truth) ** 2)))


def delta(depth: Array, truth: Array, threshold: float = 1.25) -> float:
    """Share of pixels whose ratio to the truth, either way round, is below ``threshold``."""
    return float(np.mean(np.maximum(depth / truth, truth / depth) < threshold))
