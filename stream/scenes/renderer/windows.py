"""Image windows: the rows and columns that a primitive, its shadow or its ambient occlusion can touch.

Skipping all other pixels is several times faster. Windows are computed in numpy from the description of the scene, so
no GPU has to be waited for; the window of a batch is the union over its scenes. Windows of nearly the same size are
grouped into patches and computed as one tensor, because a torch call costs as much as some thousand pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream.frames import Size
from stream.scenes.renderer.primitives import Shape
from stream.scenes.renderer.vectors import Triple

Windows: TypeAlias = NDArray[np.int64]
"""(n, 4): for each slot the first row, the row after the last, and the same for columns. Windows may be empty."""
Corners: TypeAlias = NDArray[np.float64]
"""(B, n, k, 3) float64: world points whose convex hull contains the object, metres."""

NEAR_M = 1e-3
"""Nothing nearer than this is visible; the limit also keeps projections finite."""
LOWEST_SUN = 0.05
"""Sine of the sun's elevation below which shadows are assumed to reach everywhere."""
WASTE_PX = 3000
"""A window joins a group if the group then computes at most this many pixels for nothing."""
CUBE = np.array(list(product((-1.0, 1.0), repeat=3)))
"""(8, 3): the corners of the unit cube."""


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """K slots of one shape. Each patch starts at its window's top left and is at least as large as the window."""

    slots: list[int]
    """K column indices of the packed table."""
    windows: Windows
    """(K, 4) int64, pixels."""
    height: int
    """Rows of every patch, pixels."""
    width: int
    """Columns of every patch, pixels."""

    @classmethod
    def whole(cls, height: int, width: int) -> Patches:
        """One patch that covers the image."""
        return cls([0], np.array([[0, height, 0, width]]), height, width)

    def corners(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Top and left of each patch, (K, 1, 1) int64."""
        corners = torch.from_numpy(self.windows[:, ::2].copy()).to(device)[:, :, None, None]
        return corners[:, 0], corners[:, 1]

    def gather(self, image: Tensor) -> Tensor:
        """Cut the patches out of (..., H, W): (..., K, h, w). Pixels beyond the image repeat its edge."""
        height, width = image.shape[-2:]
        top, left = self.corners(image.device)
        rows = (top + torch.arange(self.height, device=top.device)[:, None]).clamp_max(height - 1)
        columns = (left + torch.arange(self.width, device=top.device)).clamp_max(width - 1)
        index = rows * width + columns
        flat = image.flatten(-2)
        found = flat.gather(-1, index.flatten().expand(*flat.shape[:-1], -1))
        return found.view(*flat.shape[:-1], *index.shape)

    def select(self, per_slot: Tensor) -> Tensor:
        """(B, n, ...) -> (B, K, ...): the rows of these slots."""
        return per_slot[:, self.slots]

    def triple(self, per_slot: Tensor) -> Triple:
        """(B, n, 3) -> three tensors (B, K, 1, 1) that broadcast over patches."""
        x, y, z = self.select(per_slot)[..., None, None].unbind(2)
        return x, y, z

    def crops(self, patches: Tensor, *images: Tensor) -> Iterator[tuple[int, Tensor, list[Tensor]]]:
        """Yield per slot its patch of (B, K, h, w) cut to its window, and views of that window in each (B, H, W)."""
        for k, (slot, (top, bottom, left, right)) in enumerate(zip(self.slots, self.windows.tolist(), strict=True)):
            patch = patches[:, k, : bottom - top, : right - left]
            yield slot, patch, [image[:, top:bottom, left:right] for image in images]


def group_windows(shapes: Sequence[Shape], windows: Windows, largest_px: int) -> tuple[Patches, ...]:
    """Group the slots that touch the image by shape and size.

    A group of several slots never holds more than ``largest_px`` pixels.
    """
    heights, widths = windows[:, 1] - windows[:, 0], windows[:, 3] - windows[:, 2]
    areas = heights.clip(0) * widths.clip(0)
    order = np.lexsort((-areas, shapes))  # by shape first: lexsort's last key is the primary one
    groups, slots, height, width = [], list[int](), 0, 0
    for slot in order[areas[order] > 0].tolist():
        larger_height, larger_width = max(height, int(heights[slot])), max(width, int(widths[slot]))
        total_px = (len(slots) + 1) * larger_height * larger_width
        waste_px = total_px - len(slots) * height * width - int(areas[slot])
        if slots and (shapes[slot] != shapes[slots[0]] or waste_px > WASTE_PX or total_px > largest_px):
            groups.append(Patches(slots, windows[slots], height, width))
            slots, larger_height, larger_width = [], int(heights[slot]), int(widths[slot])
        slots.append(slot)
        height, width = larger_height, larger_width
    return (*groups, Patches(slots, windows[slots], height, width)) if slots else ()


def image_windows(corners: Corners, poses: NDArray[np.float64], focal_px: NDArray[np.float64], size: Size) -> Windows:
    """The image windows of the hulls of ``corners``, for camera poses (B, 4, 4) and focal lengths (B,) in pixels."""
    local = np.einsum("bnki,bij->bnkj", corners - poses[:, None, None, :3, 3], poses[:, :3, :3])
    ahead = local[..., 2] > NEAR_M
    visible = np.where(ahead[..., None], local, np.nan)
    low, high = _slopes(visible)
    # a hull that is partly behind the camera reaches as far as its edges cross the near plane
    partly = ahead.any(2) & ~ahead.all(2)
    low_cut, high_cut = _slopes(_crossings(local[partly]))
    low[partly], high[partly] = np.fmin(low[partly], low_cut), np.fmax(high[partly], high_cut)
    center, end = (np.array([size.width, size.height]) - 1) / 2, [size.width, size.height]
    first = np.floor(low * focal_px[:, None, None] + center)
    last = np.ceil(high * focal_px[:, None, None] + center) + 1
    # the minimum and maximum over axis 0 are the union over the scenes
    (left, top), (right, bottom) = np.clip(first, 0, end).min(0).T, np.clip(last, 0, end).max(0).T
    return np.stack([top, bottom, left, right], axis=1).astype(np.int64)


def box_corners(center: NDArray[np.float64], to_world: NDArray[np.float64]) -> Corners:
    """The 8 corners of each primitive's box, from centres (B, n, 3) and unit-shape-to-world matrices (B, n, 3, 3)."""
    return np.asarray(center[:, :, None] + np.einsum("bnij,kj->bnki", to_world, CUBE))


def with_shadow_corners(corners: Corners, sun_toward: NDArray[np.float64]) -> Corners:
    """Add the points where the sun (B, 3) projects the corners onto the floor; the hull contains the whole shadow."""
    sun = sun_toward[:, None, None]
    height = np.maximum(corners[..., 2:], 0)
    reach = np.where(sun[..., 2:] > LOWEST_SUN, height / np.maximum(sun[..., 2:], LOWEST_SUN), 1e5)
    return np.concatenate([corners, corners - reach * sun], axis=2)


def ball_corners(center: NDArray[np.float64], radius_m: NDArray[np.float64]) -> Corners:
    """The corners of a cube around each ball, from centres (B, n, 3) and radii (B, n)."""
    return np.asarray(center[:, :, None] + radius_m[:, :, None, None] * CUBE)


def _slopes(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest x / z and y / z (..., 2) of points (..., k, 3), ignoring NaN; (inf, -inf) for no point."""
    slopes = points[..., :2] / points[..., 2:]
    return np.fmin.reduce(slopes, axis=-2, initial=np.inf), np.fmax.reduce(slopes, axis=-2, initial=-np.inf)


def _crossings(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where lines from points (m, k, 3) ahead to points behind cross the near plane: (m, k * k, 3), NaN elsewhere."""
    ahead, behind = points[:, :, None], points[:, None]
    crosses = (ahead[..., 2] > NEAR_M) & (behind[..., 2] <= NEAR_M)
    length = np.where(crosses, ahead[..., 2] - behind[..., 2], np.nan)
    share = (ahead[..., 2] - NEAR_M) / length
    crossing = ahead + share[..., None] * (behind - ahead)
    crossing[..., 2] = NEAR_M
    return np.where(crosses[..., None], crossing, np.nan).reshape(len(points), points.shape[1] ** 2, 3)
