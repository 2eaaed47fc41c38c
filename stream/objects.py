"""Objects: a box around something, the pixels that belong to it, and how far away those are."""

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
Place: TypeAlias = tuple[slice, slice]
"""Rows and columns of a rectangle in an image; without any for nothing."""

NEAR_SHARE = 0.1
"""Of an object's pixels, so many are nearer than ``near``: its near side, and not its one nearest, doubtful pixel."""
MOST_MEASURED = 1 << 14
"""Pixels of an object, evenly over it, that are looked at: a larger one has no other median."""
MOST_RANKED = 1 << 16
"""Pixels of an image, evenly over it, among which ranks are counted: sorting all of 1080p takes 100 times as long."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where something is, in pixels of the camera's image: (0, 0) is the top left corner, x1 and y1 are outside."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: str = ""
    """Free text."""
    score: float | None = None
    """How sure whoever found it is; None: not said."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenObject:
    """What is in a box."""

    box: Box
    mask: Mask
    """(H, W), the image's size: the pixels that belong to it."""
    place: Place
    """The rectangle around them."""
    mask_score: float
    """The overlap with the truth (IoU) that the segmenter expects."""
    pixels: int
    """Of the mask."""
    known: float
    """The share of them whose depth is known, 0..1; 0 also for an empty mask."""
    median: float | None
    """Metric depth: metres along the optical axis. Relative: nearness, the rank among the image's pixels, 0 the
    farthest and 1 the nearest. None: nothing is known."""
    near: float | None
    """As ``median``, of its near side: a tenth of its pixels are nearer."""
    centre_m: Point | None
    """The middle (median) of what is seen of it, metres: x right, y down, z forward (REP 103's optical frame); None
    where depth is relative or the camera's intrinsics are not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """All objects of one image."""

    depth_map: DepthMap
    objects: tuple[SeenObject, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Boxes that were left out, by reason."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        return self.depth_map.frames


class Ruler:
    """Measures objects in one depth map."""

    def __init__(self, depth_map: DepthMap) -> None:
        self._map = depth_map
        self._sorted: Floats | None = None

    def measure(self, box: Box, mask: Mask, mask_score: float) -> SeenObject:
        """``mask`` is (H, W) like the depth map. Infinite depth is no distance, and neither is one of zero metres."""
        place = place_of(mask)
        pixels, rows, columns = _pixels_in(mask, place)
        depth = self._map.depth[rows, columns]
        known = np.isfinite(depth) if self._map.kind != "metric" else np.isfinite(depth) & (depth > 0)
        share = float(known.mean()) if known.size else 0.0
        rows, columns, depth = rows[known], columns[known], depth[known]
        median, near = self._distances(depth) if depth.size else (None, None)
        centre = None if median is None else self._centre(rows, columns, depth, median)
        return SeenObject(box, mask, place, mask_score, pixels, share, median, near, centre)

    def _distances(self, depth: Floats) -> tuple[float, float]:
        """Median and near side, as ``SeenObject`` has them."""
        nearer_is_less = self._map.kind != "relative_inverse"
        share = NEAR_SHARE if nearer_is_less else 1.0 - NEAR_SHARE
        median, near = (float(value) for value in np.quantile(depth, (0.5, share)))
        if self._map.kind == "metric":
            return median, near
        ranks = self._rank(median), self._rank(near)
        return (1.0 - ranks[0], 1.0 - ranks[1]) if nearer_is_less else ranks

    def _rank(self, value: float) -> float:
        """0..1: the share of the image that is less; what is equal counts by half."""
        if self._sorted is None:
            self._sorted = _sorted_sample(self._map.depth)
        ends = (int(np.searchsorted(self._sorted, np.float32(value), side)) for side in ("left", "right"))
        return sum(ends) / (2 * self._sorted.size) if self._sorted.size else 0.5

    def _centre(self, rows: NDArray[np.intp], columns: NDArray[np.intp], depth: Floats, median: float) -> Point | None:
        """The median of each coordinate of the points in space."""
        intrinsics = self._map.frame.intrinsics
        if self._map.kind != "metric" or intrinsics is None:
            return None
        lens = intrinsics.scaled_to(self._map.size)
        x = (columns - lens.cx_px) * depth / lens.fx_px
        y = (rows - lens.cy_px) * depth / lens.fy_px
        return float(np.median(x)), float(np.median(y)), median


def place_of(mask: Mask) -> Place:
    """The rectangle around what is set in (H, W); everything else about a mask is quicker inside of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _pixels_in(mask: Mask, place: Place) -> tuple[int, Indices, Indices]:
    """How many pixels are set, and rows and columns of at most ``MOST_MEASURED`` of them."""
    part = mask[place]
    inside = np.flatnonzero(part)
    step = max(1, -(-inside.size // MOST_MEASURED))
    rows, columns = np.divmod(inside[::step], max(1, part.shape[1]))
    return inside.size, rows + place[0].start, columns + place[1].start


def _sorted_sample(depth: Floats) -> Floats:
    step = max(1, int(np.ceil(np.sqrt(depth.size / MOST_RANKED))))
    sample = depth[::step, ::step]
    return np.sort(sample[np.isfinite(sample)])
