"""Which of two points is nearer? The share of random pairs that a map answers wrongly.

In the manner of WHDR, the weighted disagreement rate of Chen, Fu, Yang and Deng, "Single-Image Depth Perception in the
Wild", 2016, with all weights 1 and the truth in place of people: sum(w * [answer != truth]) / sum(w). As in their data
set, a pair is "nearer" or "farther", never "equal"; here that means true depths whose ratio is at least 1.02 (a usual
tolerance of ordinal labels, so Zoran et al. 2015), other pairs are not asked. Guessing by coin gives 0.5.
"""

from __future__ import annotations

import numpy as np

from stream.metrics.fit import Array

PAIRS = 20_000
"""Standard error of the rate below 0.004."""
RATIO = 1.02


def ordinal_error(nearness: Array, truth_m: Array, *, seed: int = 0, pairs: int = PAIRS, ratio: float = RATIO) -> float:
    """Share of ordered pairs whose order is predicted wrongly, 0..1; a predicted tie is wrong.

    ``nearness`` is larger where it is nearer; both flat, known everywhere, truth in metres (+inf: sky). Pairs are drawn
    evenly by ``seed``. NaN when no drawn pair is ordered.
    """
    if truth_m.size == 0:
        return float("nan")
    first, second = np.random.default_rng(seed).integers(0, truth_m.size, (2, pairs))
    inverse = 1.0 / truth_m
    one, other = inverse[first], inverse[second]
    ordered = np.maximum(one, other) >= ratio * np.minimum(one, other)
    ordered &= one != other  # both in the sky
    order = np.sign(nearness[first] - nearness[second])
    return float(np.mean((order != np.sign(one - other))[ordered])) if ordered.any() else float("nan")
