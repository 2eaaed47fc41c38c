"""Measurements of an object: distance, rank, known share and centre."""

from __future__ import annotations

import numpy as np
import pytest

from stream.frames import Intrinsics, Kind, Size
from stream.objects import Box, Mask, MeasuredObject, Ruler
from tests.detections.interior import depth_map_of, interior

SIZE = Size(60, 80)
BOX = Box(20, 10, 40, 30, "crate", 0.5)


def measured(depth: np.ndarray, mask: Mask, kind: Kind = "metric", **how: object) -> MeasuredObject:
    depth_map = depth_map_of(depth.astype(np.float32), kind=kind, **how)  # type: ignore[arg-type]
    return Ruler(depth_map).measure(BOX, mask, 0.9)


def test_metres_are_the_median_and_the_near_tenth() -> None:
    """They equal numpy's, over the mask's pixels only."""
    depth = np.random.default_rng(0).uniform(1, 9, SIZE)
    mask = interior(BOX, SIZE)
    found = measured(depth, mask)
    inside = depth.astype(np.float32)[mask]
    assert found.median == pytest.approx(np.median(inside), abs=1e-6)
    assert found.near == pytest.approx(np.percentile(inside, 10), abs=1e-6)
    assert (found.pixels, found.known, found.mask_score, found.box) == (400, 1.0, 0.9, BOX)


def test_unknown_depth_is_no_distance() -> None:
    """NaN, infinite depth (sky) and zero metres or less are left out, and reported as a share."""
    depth = np.full(SIZE, 5.0)
    mask = interior(BOX, SIZE)
    depth[10:15, 20:40] = np.nan
    depth[15:20, 20:40] = np.inf
    depth[20:22, 20:40] = 0.0
    depth[22:25, 20:40] = -1.0
    found = measured(depth, mask)
    assert (found.known, found.median, found.near) == (0.25, 5.0, 5.0)


@pytest.mark.parametrize("kind", ["metric", "relative", "relative_inverse"])
def test_an_object_without_known_depth_has_no_distance(kind: Kind) -> None:
    """A mask over unknown depth, and a mask without pixels."""
    unknown = measured(np.full(SIZE, np.nan), interior(BOX, SIZE), kind)
    empty = measured(np.ones(SIZE), np.zeros(SIZE, np.bool_), kind)
    for found, pixels in ((unknown, 400), (empty, 0)):
        assert (found.pixels, found.known) == (pixels, 0.0)
        assert (found.median, found.near, found.centre_m) == (None, None, None)


@pytest.mark.parametrize("kind", ["relative", "relative_inverse"])
def test_relative_depth_becomes_nearness_among_the_images_pixels(kind: Kind) -> None:
    """1 is the nearest of the image whichever way its numbers run; the near side is nearer than the middle."""
    nearness = np.arange(SIZE.height * SIZE.width).reshape(SIZE) / (SIZE.height * SIZE.width)
    depth = nearness if kind == "relative_inverse" else 7 - 3 * nearness
    mask = interior(BOX, SIZE)
    found = measured(depth, mask, kind)
    assert found.median == pytest.approx(np.median(nearness[mask]), abs=0.002)
    assert found.near == pytest.approx(np.percentile(nearness[mask], 90), abs=0.002)
    assert found.centre_m is None


def test_ranks_do_not_depend_on_scale_shift_or_outliers() -> None:
    """Ranks are all that relative depth can give."""
    depth = np.random.default_rng(1).normal(size=SIZE)
    mask = interior(BOX, SIZE)
    stretched = 1000 * depth + 7
    stretched[0, 0] = 1e30 if depth[0, 0] == depth.max() else stretched[0, 0]
    one, other = (measured(values, mask, "relative_inverse") for values in (depth, stretched))
    assert one.median == pytest.approx(other.median, abs=1e-3)
    assert one.near == pytest.approx(other.near, abs=1e-3)


def test_a_flat_image_is_neither_near_nor_far() -> None:
    assert measured(np.ones(SIZE), interior(BOX, SIZE), "relative").median == 0.5


def test_a_large_images_ranks_are_those_of_all_pixels() -> None:
    """A sample stands for them: within a hundredth."""
    size = Size(720, 1280)
    depth = np.random.default_rng(2).normal(size=size).astype(np.float32)
    mask = interior(Box(500, 300, 700, 400), size)
    found = Ruler(depth_map_of(depth, kind="relative_inverse")).measure(BOX, mask, 1.0)
    assert found.median == pytest.approx((depth < np.median(depth[mask])).mean(), abs=0.01)


@pytest.mark.parametrize("shrunk", [1, 2])
def test_the_centre_is_where_the_camera_sees_it(shrunk: int) -> None:
    """Back through the pinhole: x right, y down, z forward; intrinsics of another size are scaled."""
    intrinsics = Intrinsics(
        100.0 * shrunk, 120.0 * shrunk, 39.5 * shrunk, 29.5 * shrunk, Size(60 * shrunk, 80 * shrunk)
    )
    lens = intrinsics.scaled_to(SIZE)
    found = measured(np.full(SIZE, 4.0), interior(BOX, SIZE), intrinsics=intrinsics)
    assert found.centre_m is not None
    x, y, z = found.centre_m
    assert x == pytest.approx((29.5 - lens.cx_px) * 4 / lens.fx_px)
    assert y == pytest.approx((19.5 - lens.cy_px) * 4 / lens.fy_px)
    assert z == found.median == 4.0


def test_without_intrinsics_or_metres_there_is_no_centre() -> None:
    mask, lens = interior(BOX, SIZE), Intrinsics(100, 100, 40, 30, SIZE)
    assert measured(np.ones(SIZE), mask).centre_m is None
    assert measured(np.ones(SIZE), mask, "relative", intrinsics=lens).centre_m is None
