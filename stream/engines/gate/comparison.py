"""What engines are judged by, and one answer of an engine against the float32 reference's.

Networks answer in numbers of their own. For AbsRel and delta1, which want metres, the reference's answer is taken for
inverse depth from ``NEAREST_M`` to ``FARTHEST_M``; the engine's may be scaled and shifted first, as relative depth
always may (``stream.metrics.fit``). What that forgives is measured apart: the scale itself and the level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stream.errors import EngineError
from stream.frames import Floats
from stream.metrics.fit import Array, fit_scale_and_shift, fitted_inverse
from stream.metrics.ratios import abs_rel, delta

NEAREST_M, FARTHEST_M = 1.0, 10.0
"""A room's or a street's depths. A wider range would weigh only the farthest pixels, a narrower one hide them."""
FLAT = 1e-6
"""A reference whose standard deviation is below this share of its largest value says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Network inputs, float32 and read-only, one array a network size."""

    images: tuple[Floats, ...]
    """(N, 3, h, w) each: compared alone and in batches."""
    clips: tuple[Floats, ...] = ()
    """(T, 3, h, w) each: consecutive frames of one camera."""
    extremes: tuple[Floats, ...] = ()
    """(M, 3, h, w) each: inputs whose depth means nothing and must be finite all the same."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One answer (h, w) against the reference's, over its finite pixels; NaN where there are none."""

    where: str
    """Size, number and batch, for people."""
    nan: int
    """Pixels that are not a number."""
    inf: int
    correlation: float
    """Pearson's, -1..1; 0 for a flat answer."""
    abs_rel: float
    """Mean |depth - truth| / truth after scale and shift."""
    delta1: float
    """Share of pixels with max(depth / truth, truth / depth) < 1.25."""
    scale: float
    """The fitted one, >= 0; 1 for the same numbers."""
    level: float
    """Difference of the means, in standard deviations of the reference."""


def compare(answer: Floats, reference: Floats, where: str) -> Compared:
    """Raises EngineError when the reference is flat or not finite: nothing can be judged by it."""
    truth, guess = reference.astype(np.float64), answer.astype(np.float64)
    deviation = float(truth.std())
    if not deviation > FLAT * float(np.abs(truth).max()):
        raise EngineError(f"{where}: the float32 reference's depth is flat or not finite, nothing can be judged by it")
    nan, inf = not_finite(answer)
    known = np.isfinite(guess)
    if not known.any():
        return Compared(where, nan, inf, *(float("nan"),) * 5)
    metres = _as_metres(truth)[known]
    guess, truth = guess[known], truth[known]
    depth = 1 / fitted_inverse(guess, metres, "relative_inverse")
    scale, _ = fit_scale_and_shift(guess, truth)
    level = float(guess.mean() - truth.mean()) / deviation
    return Compared(where, nan, inf, _pearson(guess, truth), abs_rel(depth, metres), delta(depth, metres), scale, level)


def not_finite(answer: Floats) -> tuple[int, int]:
    """How many values are NaN, and how many infinite."""
    return int(np.isnan(answer).sum()), int(np.isinf(answer).sum())


def _as_metres(inverse: Array) -> Array:
    low, high = 1 / FARTHEST_M, 1 / NEAREST_M
    return np.asarray(1 / (low + (high - low) * (inverse - inverse.min()) / np.ptp(inverse)))


def _pearson(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0
