"""Depth maps as files that other programs read: PNG with 16-bit integers, and NumPy's .npy with float32.

The PNG holds ``depth = offset + scale * value`` for values 1..65535; 0 is unknown. Metric depth is in millimetres
(scale 0.001, offset 0, as in ROS and the RGB-D data sets); relative depth fills the whole range.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.frames import DepthMap, Floats, Kind

FORMULA = "depth = offset + scale * value"
METRES_PER_STEP = 0.001
LAST = 65535
STRIP_PX = 1 << 18
"""Pixels encoded at a time: 2 MB as float64, where a whole image of 40 megapixels would take 320 MB."""
MEANING: Mapping[Kind, str] = {
    "metric": "metres along the optical axis",
    "relative_inverse": "inverse depth, larger is nearer; scale and shift are unknown and differ from frame to frame",
    "relative": "depth, larger is farther; scale and shift are unknown and differ from frame to frame",
}
"""Meaning of each kind of depth in words, written next to the numbers into files and HTTP responses."""


class Png16(NamedTuple):
    """A depth map as 16-bit integers."""

    values: NDArray[np.uint16]
    """(H, W) uint16; 0 where depth is unknown."""
    scale: float
    """Depth units of one step; 0 for a flat relative map."""
    offset: float
    """Depth of the value 0, in depth units."""
    clipped: int
    """Number of pixels stored as the nearest value because their depth does not fit: beyond 65.535 m, below 1 mm,
    infinite."""


def encode_png16(depth_map: DepthMap) -> Png16:
    """Encode depth; the error of unclipped pixels is at most half a step (and float32's own rounding).

    >>> encoded = encode_png16(depth_map)  # doctest: +SKIP
    >>> Path("depth.png").write_bytes(png_bytes(encoded.values))  # doctest: +SKIP
    """
    depth = depth_map.depth
    scale, offset = (METRES_PER_STEP, 0.0) if depth_map.kind == "metric" else _whole_range(depth)
    values = np.empty(depth.shape, np.uint16)
    clipped = sum(_encode(depth[rows], scale, offset, values[rows]) for rows in _strips(depth))
    return Png16(values, scale, offset, clipped)


def decode_png16(values: NDArray[np.uint16], scale: float, offset: float) -> Floats:
    """(H, W) uint16 to (H, W) float32 depth, NaN where unknown."""
    depth = (offset + scale * values.astype(np.float64)).astype(np.float32)
    depth[values == 0] = np.nan
    return depth


def png_bytes(pixels: NDArray[np.uint16] | NDArray[np.uint8]) -> bytes:
    """A PNG file of (H, W) gray with 8 or 16 bits, or of (H, W, 3) BGR."""
    import cv2

    done, data = cv2.imencode(".png", pixels)
    assert done, "OpenCV writes PNG in every build"
    return data.tobytes()


def npy_bytes(depth: Floats) -> bytes:
    """A .npy file of (H, W) float32; NaN stays NaN."""
    buffer = io.BytesIO()
    np.save(buffer, depth.astype(np.float32, copy=False), allow_pickle=False)
    return buffer.getvalue()


def _encode(depth: Floats, scale: float, offset: float, values: NDArray[np.uint16]) -> int:
    """Fill ``values`` (h, W) from the rows ``depth`` (h, W); return the number of clipped pixels."""
    known = ~np.isnan(depth)
    # A flat map has scale 0 and keeps this 1, because 0 means unknown.
    steps = np.full(depth.shape, 1.0)
    np.divide(depth.astype(np.float64) - offset, scale, out=steps, where=known & (scale > 0))
    np.rint(steps, out=steps)
    fitted = np.clip(steps, 1, LAST)
    values[...] = np.where(known, fitted, 0)
    return int(np.count_nonzero(known & (np.isinf(depth) | (steps != fitted))))


def _whole_range(depth: Floats) -> tuple[float, float]:
    """Scale and offset that put the smallest finite depth at 1 and the largest at 65535."""
    finite = (strip[np.isfinite(strip)] for strip in (depth[rows] for rows in _strips(depth)))
    ends = [(float(some.min()), float(some.max())) for some in finite if some.size]
    low, high = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)
    scale = (high - low) / (LAST - 1)
    return (scale, low - scale) if scale > 0 and math.isfinite(scale) else (0.0, low)


def _strips(depth: Floats) -> Iterator[slice]:
    """Groups of rows with about STRIP_PX pixels each, at least one row."""
    height, width = depth.shape
    rows = max(1, STRIP_PX // max(1, width))
    return (slice(first, first + rows) for first in range(0, height, rows))
