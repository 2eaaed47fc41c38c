"""Metrics of depth order, which need no fit: the error rate on random pairs, and Spearman's rank correlation.

The error rate follows WHDR, the weighted disagreement rate of Chen, Fu, Yang and Deng, "Single-Image Depth Perception
in the Wild", 2016, with all weights 1 and ground truth in place of people: sum(w * [answer != truth]) / sum(w). As in
their data set, a pair is "nearer" or "farther", never "equal". Here that means true depths whose ratio is at least
1.02, a usual tolerance of ordinal labels (Zoran et al. 2015); other pairs do not count. Guessing by coin gives 0.5.
"""

from __future__ import annotations

import numpy as np

from stream.metrics.fit import Array

PAIRS = 20_000
"""Keeps the standard error of the rate below 0.004."""
RATIO = 1.02
"""Pairs whose true depths differ by less do not count."""


def ordinal_error(
    nearness: Array, ground_truth_m: Array, *, seed: int = 0, pairs: int = PAIRS, ratio: float = RATIO
) -> float:
    """Share of ordered pairs whose order is predicted wrongly, 0..1; a predicted tie is wrong.

    ``nearness`` is larger where the depth is smaller. Both arrays are flat and known everywhere, the ground truth in
    metres (+inf for sky). Pairs are drawn uniformly with ``seed``. Returns NaN when no drawn pair is ordered.
    """
    if ground_truth_m.size == 0:
        return float("nan")
    first, second = np.random.default_rng(seed).integers(0, ground_truth_m.size, (2, pairs))
    inverse = 1.0 / ground_truth_m  # the sky becomes 0, which compares; inf / inf would be NaN
    one, other = inverse[first], inverse[second]
    ordered = np.maximum(one, other) >= ratio * np.minimum(one, other)
    ordered &= one != other  # both in the sky, where 0 >= ratio * 0
    order = np.sign(nearness[first] - nearness[second])
    return float(np.mean((order != np.sign(one - other))[ordered])) if ordered.any() else float("nan")


def spearman(a: Array, b: Array) -> float:
    """Pearson's correlation of the ranks, -1..1 (Spearman 1904); equal values share their mean rank.

    The arrays are flat and of one length. Returns NaN when either is constant.
    """
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    ranks_a -= ranks_a.mean()
    ranks_b -= ranks_b.mean()
    norm = float(np.sqrt((ranks_a @ ranks_a) * (ranks_b @ ranks_b)))
    return float(ranks_a @ ranks_b) / norm if norm > 0 else float("nan")


def _ranks(values: Array) -> Array:
    """Ranks from 1, with the mean rank for equal values."""
    _, index_of_value, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[index_of_value], np.float64)
