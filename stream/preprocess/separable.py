"""Resizes that OpenCV lacks, in numpy: one axis after the other, each as a sum of shifted and weighted rows.

The image is transposed to resize its width, because numpy gathers and adds whole rows fast: 518x924 -> 720x1280 takes
1.3 ms (torch on the same two cores: 0.7), and 1280x720 -> 1024x576 in bytes takes 17 ms (PIL: 11).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from stream.frames import Floats, Image, Size
from stream.preprocess.filters import PRECISION_BITS, Indices, Taps, Weights, to_fixed_point

ROWS_AT_ONCE = 16
"""The sums of this many rows stay in the processor's cache: twice as fast for images as all rows at once."""

Scalar = TypeVar("Scalar", np.uint8, np.float32)
Rows: TypeAlias = NDArray[Scalar]
"""(rows, values per row)."""


def resized(array: Floats, size: Size, taps: Taps) -> Floats:
    """(H, W) or (H, W, C) float32 -> a new array (h, w[, C])."""
    return _both_sides(array, size, taps, _sums)


def resized_bytes(image: Image, size: Size, taps: Taps) -> Image:
    """(H, W, C) uint8 -> (h, w, C), rounded to bytes after each axis, as PIL does: widths first, then heights.

    Pillow 13 starts with the heights for some sizes (61 of 400 random ones, with the shape kept), which differs by one
    level in places. The networks were trained and published with older versions, which never do.
    """
    return _both_sides(image, size, taps, _byte_sums)


def _both_sides(
    array: NDArray[Scalar], size: Size, taps: Taps, sums: Callable[[Rows[Scalar], Indices, Weights], Rows[Scalar]]
) -> NDArray[Scalar]:
    def resized_rows(array: NDArray[Scalar], length: int) -> NDArray[Scalar]:
        rows = array.reshape(len(array), -1)
        return sums(rows, *taps(len(array), length)).reshape(length, *array.shape[1:])

    if array.shape[:2] == size:
        return array.copy()
    if array.shape[1] != size.width:
        array = _transposed(resized_rows(_transposed(array), size.width))
    return resized_rows(array, size.height) if array.shape[0] != size.height else array


def _transposed(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """(H, W[, C]) -> (W, H[, C])."""
    import cv2

    return cast("NDArray[Scalar]", cv2.transpose(array))


def _sums(rows: Floats, indices: Indices, weights: Weights) -> Floats:
    factors = weights.astype(np.float32)[:, :, None]
    # An array of indices copies the rows, so that they may be changed in place.
    total: Floats = rows[indices[0]]
    total *= factors[0]
    for index, factor in zip(indices[1:], factors[1:], strict=True):
        part = rows[index]
        part *= factor
        total += part
    return total


def _byte_sums(rows: Image, indices: Indices, weights: Weights) -> Image:
    factors = to_fixed_point(weights)[:, :, None]
    out = np.empty((indices.shape[1], rows.shape[1]), np.uint8)
    for start in range(0, len(out), ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        total = np.full(out[block].shape, 1 << (PRECISION_BITS - 1), np.int32)
        for index, factor in zip(indices[:, block], factors[:, block], strict=True):
            total += np.multiply(rows[index], factor, dtype=np.int32)
        out[block] = total >> PRECISION_BITS  # weights are never negative and sum to 1, so nothing leaves 0..255
    return out
