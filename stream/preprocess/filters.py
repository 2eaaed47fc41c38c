"""Resize filters as plain numbers: which input pixels an output pixel is made of, and in which shares.

Positions are exact, in float64. (torch's own bicubic rounds them in float32: at hard edges of large images it is 1e-3
of normalised values off OpenCV's, and these 4e-4, which is OpenCV's own rounding.) Filters are OpenCV's, but for
``triangle``, which is PIL's, and ``linear_corners``, which is torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
Places = NDArray[np.int64]
Taps = Callable[[int, int], tuple[Places, Shares]]
"""From a number of pixels to another: places and shares, (taps, short) each."""

CUBIC_A = -0.75
"""OpenCV's and torch's; PIL's is -0.5."""
SHARE_BITS = 22
"""Behind the point, in PIL's arithmetic on bytes (Pillow, src/libImaging/Resample.c: 32 less 8 and 2 to spare)."""


def cubic(long: int, short: int) -> tuple[Places, Shares]:
    """From ``long`` pixels to ``short`` (which may be more): four places and their shares, (4, short) each."""
    first, offset = _positions(long, short)
    taps = np.arange(-1, 3)[:, None]
    distance = np.abs(offset - taps)
    near = ((CUBIC_A + 2) * distance - (CUBIC_A + 3)) * distance**2 + 1
    far = ((CUBIC_A * distance - 5 * CUBIC_A) * distance + 8 * CUBIC_A) * distance - 4 * CUBIC_A
    return _clipped(first + taps, long), np.where(distance <= 1, near, far)


def linear(long: int, short: int) -> tuple[Places, Shares]:
    """Two places and their shares, (2, short) each."""
    first, offset = _positions(long, short)
    return _clipped(first + np.arange(2)[:, None], long), np.stack((1 - offset, offset))


def linear_of_area(long: int, short: int) -> tuple[Places, Shares]:
    """What INTER_AREA does where it cannot shrink both sides: pixels stay flat and blend where they meet."""
    ratio = long / short
    first = np.floor(np.arange(short) * ratio)
    meeting = np.arange(1, short + 1) - (first + 1) / ratio
    offset = np.where(meeting <= 0, 0.0, meeting - np.floor(meeting))
    return _clipped(first + np.arange(2)[:, None], long), np.stack((1 - offset, offset))


def linear_corners(long: int, short: int) -> tuple[Places, Shares]:
    """Two places and their shares; first and last pixels stay what they are (torch's ``align_corners=True``)."""
    x = np.arange(short) * (long - 1) / max(short - 1, 1)
    first = np.floor(x)
    return _clipped(first + np.arange(2)[:, None], long), np.stack((1 - (x - first), x - first))


def triangle(long: int, short: int) -> tuple[Places, Shares]:
    """PIL's BILINEAR: as ``linear`` when it enlarges; shrinking, each pixel is made of all that it covers, and more.

    As many places as the widest of the filters has, (taps, short) each.
    """
    ratio = long / short
    reach = max(ratio, 1.0)
    centre = (np.arange(short) + 0.5) * ratio
    first = np.maximum(np.trunc(centre - reach + 0.5), 0)
    places = first + np.arange(2 * math.ceil(reach) + 1)[:, None]
    shares = np.maximum(1 - np.abs((places - centre + 0.5) * (1 / reach)), 0)
    shares[places >= np.trunc(centre + reach + 0.5)] = 0
    shares[places >= long] = 0
    used = shares.any(axis=1)
    return _clipped(places[used], long), shares[used] / shares.sum(axis=0)


def in_whole_numbers(shares: Shares) -> NDArray[np.int32]:
    """Shares as PIL takes them for bytes: the sum of products, plus a half, shifted by SHARE_BITS, is the new byte."""
    whole: NDArray[np.int32] = np.floor(shares * 2**SHARE_BITS + 0.5).astype(np.int32)
    return whole


def area(long: int, short: int) -> Shares:
    """(short, long): the share of each input pixel in each output pixel when shrinking; rows sum to 1."""
    edges = np.arange(short + 1) * (long / short)
    start = np.arange(long)
    overlap = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    shares: Shares = np.maximum(overlap, 0.0) * (short / long)
    return shares


def _positions(long: int, short: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where pixels' centres fall: the whole pixel before, and how far behind it."""
    x = (np.arange(short) + 0.5) * (long / short) - 0.5
    first = np.floor(x)
    return first, x - first


def _clipped(places: NDArray[np.float64], long: int) -> Places:
    """Edge pixels are repeated."""
    return np.clip(places, 0, long - 1).astype(np.int64)
