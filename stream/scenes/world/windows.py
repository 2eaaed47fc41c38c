"""Which part of the image a primitive, or its shadow, can touch: skipping the rest is several times faster.

Worked out in numpy from the scene's description, so that a GPU is never asked; a batch's window is the union over its
scenes.
"""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.frames import Size

Windows: TypeAlias = NDArray[np.int64]
"""(n, 4): for each slot the first row, the row after the last, and the same for columns; 0 rows or columns: nowhere."""

NEAR_M = 1e-3
"""Nothing nearer than this is seen; also keeps projections finite."""
CUBE = np.array(list(product((-1.0, 1.0), repeat=3)))
LOWEST_SUN = 0.05
"""Sine of the elevation below which shadows are taken to reach everywhere."""

Corners: TypeAlias = NDArray[np.float64]
"""(B, n, k, 3) float64: points in the world whose convex hull holds the thing."""


def corners_of(center: NDArray[np.float64], to_world: NDArray[np.float64]) -> Corners:
    """The 8 corners of each primitive's box: center (B, n, 3), to_world (B, n, 3, 3) from the unit shape."""
    return np.asarray(center[:, :, None] + np.einsum("bnij,kj->bnki", to_world, CUBE))


def swept(corners: Corners, sun_toward: NDArray[np.float64]) -> Corners:
    """The corners and where the sun throws them on the floor: everything between may lie in shadow. Sun (B, 3)."""
    sun = sun_toward[:, None, None]
    height = np.maximum(corners[..., 2:], 0)
    reach = np.where(sun[..., 2:] > LOWEST_SUN, height / np.maximum(sun[..., 2:], LOWEST_SUN), 1e5)
    return np.concatenate([corners, corners - reach * sun], axis=2)


def around(center: NDArray[np.float64], radius_m: NDArray[np.float64]) -> Corners:
    """The corners of a cube around each ball; center (B, n, 3), radius (B, n)."""
    return np.asarray(center[:, :, None] + radius_m[:, :, None, None] * CUBE)


def windows(corners: Corners, poses: NDArray[np.float64], focal_px: NDArray[np.float64], size: Size) -> Windows:
    """The image's rows and columns that the hull of ``corners`` can touch; poses (B, 4, 4), focal lengths (B,)."""
    local = np.einsum("bnki,bij->bnkj", corners - poses[:, None, None, :3, 3], poses[:, :3, :3])
    ahead = local[..., 2] > NEAR_M
    visible = np.where(ahead[..., None], local, np.nan)
    low, high = _slopes(visible)
    partly = ahead.any(2) & ~ahead.all(2)
    low_cut, high_cut = _slopes(_crossings(local[partly]))
    low[partly], high[partly] = np.fmin(low[partly], low_cut), np.fmax(high[partly], high_cut)
    center, end = (np.array([size.width, size.height]) - 1) / 2, [size.width, size.height]
    first = np.floor(low * focal_px[:, None, None] + center)
    last = np.ceil(high * focal_px[:, None, None] + center) + 1
    (left, top), (right, bottom) = np.clip(first, 0, end).min(0).T, np.clip(last, 0, end).max(0).T
    return np.stack([top, bottom, left, right], axis=1).astype(np.int64)


def _slopes(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest x / z and y / z (..., 2) of points (..., k, 3), passing over NaN; (inf, -inf) without any."""
    slopes = points[..., :2] / points[..., 2:]
    return np.fmin.reduce(slopes, axis=-2, initial=np.inf), np.fmax.reduce(slopes, axis=-2, initial=-np.inf)


def _crossings(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where lines from points (m, k, 3) ahead to points behind pass the nearest plane: (m, k * k, 3), or NaN."""
    ahead, behind = points[:, :, None], points[:, None]
    crosses = (ahead[..., 2] > NEAR_M) & (behind[..., 2] <= NEAR_M)
    way = np.where(crosses, ahead[..., 2] - behind[..., 2], np.nan)
    share = (ahead[..., 2] - NEAR_M) / way
    crossing = ahead + share[..., None] * (behind - ahead)
    crossing[..., 2] = NEAR_M
    return np.where(crosses[..., None], crossing, np.nan).reshape(len(points), points.shape[1] ** 2, 3)
