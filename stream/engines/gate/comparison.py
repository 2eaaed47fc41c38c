"""The golden inputs, and the comparison of one output of an engine with the float32 reference's.

Networks have output units of their own. For AbsRel and delta1, which need metres, the reference's output is read as
inverse depth from ``NEAREST_M`` to ``FARTHEST_M``. The engine's output may be scaled and shifted first, as relative
depth always may (``stream.metrics.fit``); the errors which that hides, of the scale and of the mean, are measured
separately.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stream.errors import EngineError
from stream.frames import Floats
from stream.metrics.fit import Array, fit_scale_and_shift, fitted_inverse
from stream.metrics.score import abs_rel, delta

NEAREST_M, FARTHEST_M = 1.0, 10.0
"""A room's or a street's depths. With a wider range only the farthest pixels would count; a narrower one hides them."""
FLAT = 1e-6
"""A reference output whose standard deviation is below this share of its largest value cannot be compared with."""


@dataclass(frozen=True, slots=True, eq=False)
class GoldenInputs:
    """Network inputs, float32 and read-only, one array per network size."""

    images: tuple[Floats, ...]
    """(N, 3, h, w) each: compared one by one and in batches."""
    clips: tuple[Floats, ...] = ()
    """(T, 3, h, w) each: consecutive frames of one camera."""
    extremes: tuple[Floats, ...] = ()
    """(M, 3, h, w) each: inputs whose depth is meaningless but must be finite."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One output (h, w) against the reference's, over its finite pixels; NaN if it has none."""

    where: str
    """Size, number and batch of the image, for people."""
    nan: int
    """Pixels that are NaN."""
    inf: int
    """Pixels that are infinite."""
    correlation: float
    """Pearson's, -1..1; 0 for a flat output."""
    abs_rel: float
    """Mean |depth - ground truth| / ground truth, after scale and shift."""
    delta1: float
    """Share of pixels with max(depth / ground truth, ground truth / depth) < 1.25, after scale and shift."""
    scale: float
    """The fitted scale, >= 0; 1 for identical outputs."""
    level: float
    """Difference of the means, in standard deviations of the reference."""


def compare(output: Floats, reference: Floats, where: str) -> Comparison:
    """Compare two outputs (h, w). Raises EngineError if the reference is flat or not finite."""
    # Float64, because float32 can hardly tell the tightest bound on the correlation, 1 - 1e-7, from 1.
    expected, actual = reference.astype(np.float64), output.astype(np.float64)
    deviation = float(expected.std())
    # Not ``<=``, which would let NaN pass.
    if not deviation > FLAT * float(np.abs(expected).max()):
        raise EngineError(f"{where}: the float32 reference's depth is flat or not finite, nothing can be judged by it")
    nan, inf = count_nonfinite(output)
    finite = np.isfinite(actual)
    if not finite.any():
        return Comparison(where, nan, inf, *(float("nan"),) * 5)
    metres = _as_metres(expected)[finite]
    actual, expected = actual[finite], expected[finite]
    depth = 1 / fitted_inverse(actual, metres, "relative_inverse")
    scale, _ = fit_scale_and_shift(actual, expected)
    level = float(actual.mean() - expected.mean()) / deviation
    correlation = _pearson(actual, expected)
    return Comparison(where, nan, inf, correlation, abs_rel(depth, metres), delta(depth, metres), scale, level)


def count_nonfinite(output: Floats) -> tuple[int, int]:
    """The number of NaN values, and of infinite ones."""
    return int(np.isnan(output).sum()), int(np.isinf(output).sum())


def _as_metres(inverse: Array) -> Array:
    low, high = 1 / FARTHEST_M, 1 / NEAREST_M
    return np.asarray(1 / (low + (high - low) * (inverse - inverse.min()) / np.ptp(inverse)))


def _pearson(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0
