"""Resize filters as plain numbers: the source pixels of each target pixel, and their weights.

Positions are exact, in float64. torch's own bicubic rounds them to float32, so at hard edges of large images it differs
from OpenCV by 1e-3 of normalised values; these filters differ by 4e-4, which is OpenCV's own rounding. The filters are
OpenCV's, except ``triangle``, which is PIL's, and ``linear_corners``, which is torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
"""(taps, target) float64; each column sums to 1."""
Indices = NDArray[np.int64]
"""(taps, target) int64: indices of source pixels."""
Taps = Callable[[int, int], tuple[Indices, Weights]]
"""Function from a source and a target length in pixels to indices and weights."""

CUBIC_A = -0.75
"""Sharpness of the cubic, as in OpenCV and torch; PIL uses -0.5."""
PRECISION_BITS = 22
"""Fraction bits of PIL's fixed-point weights for bytes: 32 - 8 - 2 (Pillow, src/libImaging/Resample.c)."""


def cubic(source: int, target: int) -> tuple[Indices, Weights]:
    """Bicubic from ``source`` pixels to ``target``, which may be more: four taps."""
    first, offset = _positions(source, target)
    taps = np.arange(-1, 3)[:, None]
    distance = np.abs(offset - taps)
    near = ((CUBIC_A + 2) * distance - (CUBIC_A + 3)) * distance**2 + 1
    far = ((CUBIC_A * distance - 5 * CUBIC_A) * distance + 8 * CUBIC_A) * distance - 4 * CUBIC_A
    return _clipped(first + taps, source), np.where(distance <= 1, near, far)


def linear(source: int, target: int) -> tuple[Indices, Weights]:
    """Bilinear: two taps."""
    first, offset = _positions(source, target)
    return _clipped(first + np.arange(2)[:, None], source), np.stack((1 - offset, offset))


def linear_of_area(source: int, target: int) -> tuple[Indices, Weights]:
    """INTER_AREA where one side is enlarged: pixels stay flat and blend only where they meet. Two taps."""
    ratio = source / target
    first = np.floor(np.arange(target) * ratio)
    meeting = np.arange(1, target + 1) - (first + 1) / ratio
    offset = np.where(meeting <= 0, 0.0, meeting - np.floor(meeting))
    return _clipped(first + np.arange(2)[:, None], source), np.stack((1 - offset, offset))


def linear_corners(source: int, target: int) -> tuple[Indices, Weights]:
    """Bilinear with the first and last pixels unchanged (torch's ``align_corners=True``): two taps."""
    x = np.arange(target) * (source - 1) / max(target - 1, 1)
    first = np.floor(x)
    return _clipped(first + np.arange(2)[:, None], source), np.stack((1 - (x - first), x - first))


def triangle(source: int, target: int) -> tuple[Indices, Weights]:
    """PIL's BILINEAR: equal to ``linear`` when it enlarges; when it shrinks, the filter widens with the ratio.

    There are as many taps as the widest of the target pixels needs.
    """
    ratio = source / target
    reach = max(ratio, 1.0)
    centre = (np.arange(target) + 0.5) * ratio
    first = np.maximum(np.trunc(centre - reach + 0.5), 0)
    # PIL's bound of the number of taps; taps that no pixel uses are dropped below
    indices = first + np.arange(2 * math.ceil(reach) + 1)[:, None]
    weights = np.maximum(1 - np.abs((indices - centre + 0.5) * (1 / reach)), 0)
    weights[indices >= np.trunc(centre + reach + 0.5)] = 0
    weights[indices >= source] = 0
    used = weights.any(axis=1)
    return _clipped(indices[used], source), weights[used] / weights.sum(axis=0)


def to_fixed_point(weights: Weights) -> NDArray[np.int32]:
    """Weights in PIL's fixed-point format for bytes.

    The sum of the products, plus one half, shifted right by PRECISION_BITS, is the new byte.
    """
    # Pillow rounds negative weights the other way, but a triangle has none.
    whole: NDArray[np.int32] = np.floor(weights * 2**PRECISION_BITS + 0.5).astype(np.int32)
    return whole


def area(source: int, target: int) -> Weights:
    """(target, source): the share of each source pixel in each target pixel when shrinking; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    start = np.arange(source)
    overlap = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    weights: Weights = np.maximum(overlap, 0.0) * (target / source)
    return weights


def _positions(source: int, target: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The source positions of the target pixels' centres: the whole pixel before, and the fraction after it."""
    x = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(x)
    return first, x - first


def _clipped(indices: NDArray[np.float64], source: int) -> Indices:
    """Repeat the edge pixels for indices beyond them."""
    return np.clip(indices, 0, source - 1).astype(np.int64)
