"""Depth in metres, and points in space."""

from __future__ import annotations

import numpy as np
import pytest

from stream.client.point_cloud import points
from stream.errors import WireError
from stream.frames import Intrinsics, Size
from stream.wire.codes import Compression, Encoding
from stream.wire.message import parse
from tests.client.sending import SIZE, depth_map, packed


@pytest.mark.parametrize(("encoding", "error_m"), [(Encoding.F32, 1e-6), (Encoding.U16, 5.1e-4), (Encoding.F16, 3e-3)])
def test_points_project_back_to_their_pixels(encoding: Encoding, error_m: float) -> None:
    """x right, y down, z forward; unknown pixels are left out."""
    depth = np.random.default_rng(0).uniform(0.5, 6, SIZE).astype(np.float32)
    depth[0, 0], depth[2, 3], depth[5, 7] = np.nan, np.inf, 0
    optics = Intrinsics(10.0, 12.0, 3.25, 2.75, SIZE)
    cloud = points(parse(packed(depth_map(depth=depth, intrinsics=optics), encoding=encoding)))
    rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
    assert cloud.shape == (6 * 8 - 3, 3)
    assert cloud.dtype == np.float32
    assert cloud[:, 2] == pytest.approx(depth[rows, columns], abs=error_m)
    assert 10.0 * cloud[:, 0] / cloud[:, 2] + 3.25 == pytest.approx(columns, abs=1e-5)
    assert 12.0 * cloud[:, 1] / cloud[:, 2] + 2.75 == pytest.approx(rows, abs=1e-5)


def test_what_lies_right_of_and_below_the_centre_is_positive() -> None:
    """By hand: one pixel at (row 4, column 6), 2 m away."""
    depth = np.full(SIZE, np.nan, np.float32)
    depth[4, 6] = 2.0
    cloud = points(parse(packed(depth_map(depth=depth))))
    assert cloud == pytest.approx(np.array([[(6 - 3.5) / 10 * 2, (4 - 2.5) / 12 * 2, 2.0]]))


def test_depth_without_a_unit_makes_no_points() -> None:
    """Relative depth must never be taken for metres."""
    for kind in ("relative_inverse", "relative"):
        with pytest.raises(WireError, match=rf"depth/front: the depth is {kind.upper()}, not metres"):
            points(parse(packed(depth_map(kind=kind))))


def test_a_camera_that_is_not_calibrated_makes_no_points() -> None:
    """Nor does a map of which nothing is known make any."""
    with pytest.raises(WireError, match="intrinsics are not known"):
        points(parse(packed(depth_map(intrinsics=None))))
    unknown = np.full(Size(4, 4), np.nan, np.float32)
    optics = Intrinsics(5.0, 5.0, 1.5, 1.5, Size(4, 4))
    message = parse(packed(depth_map(depth=unknown, intrinsics=optics), compression=Compression.ZSTD))
    assert points(message).shape == (0, 3)
