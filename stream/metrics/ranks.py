"""Spearman's rank correlation: does the map order near and far as the truth does? It needs no fit."""

from __future__ import annotations

import numpy as np

from stream.metrics.fit import Array


def spearman(a: Array, b: Array) -> float:
    """Pearson's correlation of the ranks, -1..1 (Spearman 1904); equal values share their mean rank.

    Flat arrays of one length; NaN when either side is constant.
    """
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    ranks_a -= ranks_a.mean()
    ranks_b -= ranks_b.mean()
    norm = float(np.sqrt((ranks_a @ ranks_a) * (ranks_b @ ranks_b)))
    return float(ranks_a @ ranks_b) / norm if norm > 0 else float("nan")


def _ranks(values: Array) -> Array:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which], np.float64)
