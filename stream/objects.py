"""Objects: a box, the pixels in it that belong to one thing, and the distance of those pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.frames import DepthMap, Floats, Frame

Mask: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]
Point: TypeAlias = tuple[float, float, float]
Bounds: TypeAlias = tuple[slice, slice]
"""Rows and columns of a rectangle in an image; two empty slices for an empty rectangle."""

NEAR_SHARE = 0.1
"""Share of an object's pixels that are nearer than ``near``: a tenth, because the one nearest pixel is often wrong."""
MAX_MEASURED_PX = 1 << 14
"""Pixels of an object that are measured, evenly spaced; more of them do not change the median."""
MAX_RANKED_PX = 1 << 16
"""Pixels of an image among which ranks are counted, evenly spaced: sorting all of 1080p takes 100 times as long."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around an object, in pixels of the camera's image; (0, 0) is the outer corner of the top left pixel.

    >>> Box(100.0, 50.0, 300.0, 250.0, label="person", score=0.9).label
    'person'
    """

    x0: float
    """Left edge."""
    y0: float
    """Top edge."""
    x1: float
    """Right edge: the first column outside."""
    y1: float
    """Bottom edge: the first row outside."""
    label: str = ""
    """Free text."""
    score: float | None = None
    """The detector's confidence; None where it gave none."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredObject:
    """The object in one box, with its mask and its distance."""

    box: Box
    mask: Mask
    """(H, W) bool, the image's size: the pixels that belong to the object."""
    bounds: Bounds
    """The rectangle around the mask's pixels."""
    mask_score: float
    """The overlap with the true mask (IoU) that the segmenter expects, 0..1."""
    pixels: int
    """Number of pixels in the mask."""
    known: float
    """Share of those pixels whose depth is known, 0..1; 0 for an empty mask."""
    median: float | None
    """Metric depth: metres along the optical axis. Relative depth: nearness, which is the rank among the image's
    pixels, 0 for the farthest and 1 for the nearest. None if no depth is known."""
    near: float | None
    """As ``median``, for the object's near side: a tenth of its pixels are nearer."""
    centre_m: Point | None
    """The median of the object's visible points, metres: x right, y down, z forward (REP 103's optical frame). None
    for relative depth and without intrinsics."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """All objects of one image."""

    depth_map: DepthMap
    objects: tuple[MeasuredObject, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Number of boxes that were left out, by reason."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frame that was estimated."""
        return self.depth_map.frames


class Ruler:
    """Measures objects in one depth map; keeps the map's sorted sample between objects."""

    def __init__(self, depth_map: DepthMap) -> None:
        self._map = depth_map
        self._sorted: Floats | None = None

    def measure(self, box: Box, mask: Mask, mask_score: float) -> MeasuredObject:
        """Measure the pixels of ``mask``, (H, W) bool like the depth map.

        Infinite depth counts as unknown, and so does metric depth of zero or less.
        """
        bounds = bounds_of(mask)
        pixels, rows, columns = _pixels_in(mask, bounds)
        depth = self._map.depth[rows, columns]
        known = np.isfinite(depth) if self._map.kind != "metric" else np.isfinite(depth) & (depth > 0)
        share = float(known.mean()) if known.size else 0.0
        rows, columns, depth = rows[known], columns[known], depth[known]
        median, near = self._distances(depth) if depth.size else (None, None)
        centre = None if median is None else self._centre(rows, columns, depth, median)
        return MeasuredObject(box, mask, bounds, mask_score, pixels, share, median, near, centre)

    def _distances(self, depth: Floats) -> tuple[float, float]:
        """``median`` and ``near`` of MeasuredObject for the depths (n,) of an object."""
        nearer_is_less = self._map.kind != "relative_inverse"
        share = NEAR_SHARE if nearer_is_less else 1.0 - NEAR_SHARE
        median, near = (float(value) for value in np.quantile(depth, (0.5, share)))
        if self._map.kind == "metric":
            return median, near
        ranks = self._rank(median), self._rank(near)
        return (1.0 - ranks[0], 1.0 - ranks[1]) if nearer_is_less else ranks

    def _rank(self, value: float) -> float:
        """Share of the image that is less than ``value``, 0..1; equal pixels count by half."""
        if self._sorted is None:  # on first use: metric depth needs no ranks
            self._sorted = _sorted_sample(self._map.depth)
        ends = (int(np.searchsorted(self._sorted, np.float32(value), side)) for side in ("left", "right"))
        return sum(ends) / (2 * self._sorted.size) if self._sorted.size else 0.5

    def _centre(self, rows: Indices, columns: Indices, depth: Floats, median: float) -> Point | None:
        """The median of each coordinate of the object's points, back-projected through the pinhole."""
        intrinsics = self._map.frame.intrinsics
        if self._map.kind != "metric" or intrinsics is None:
            return None
        lens = intrinsics.scaled_to(self._map.size)
        x = (columns - lens.cx_px) * depth / lens.fx_px
        y = (rows - lens.cy_px) * depth / lens.fy_px
        return float(np.median(x)), float(np.median(y)), median


def bounds_of(mask: Mask) -> Bounds:
    """The rectangle around the set pixels of (H, W); work on a mask is faster within it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _pixels_in(mask: Mask, bounds: Bounds) -> tuple[int, Indices, Indices]:
    """The number of set pixels, and rows and columns of at most MAX_MEASURED_PX of them."""
    part = mask[bounds]
    inside = np.flatnonzero(part)
    step = max(1, -(-inside.size // MAX_MEASURED_PX))
    rows, columns = np.divmod(inside[::step], max(1, part.shape[1]))
    return inside.size, rows + bounds[0].start, columns + bounds[1].start


def _sorted_sample(depth: Floats) -> Floats:
    step = max(1, int(np.ceil(np.sqrt(depth.size / MAX_RANKED_PX))))
    sample = depth[::step, ::step]
    return np.sort(sample[np.isfinite(sample)])
