"""The filters that OpenCV lacks, against the programs that have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from stream.frames import Size
from stream.preprocess import filters, separable
from stream.preprocess.gpu import _triangle_of_bytes, resized
from tests.preprocess.official import by_pil

sizes = st.builds(Size, st.integers(1, 150), st.integers(1, 150))


@settings(deadline=None, max_examples=150)
@given(sizes, sizes)
def test_bytes_by_triangles_are_pils(long: Size, short: Size) -> None:
    """Every byte, of any size to any size, in numpy and in torch."""
    pytest.importorskip("PIL")
    image = np.random.default_rng(long.height).integers(0, 256, (*long, 3), dtype=np.uint8)
    expected = by_pil(image, short)
    np.testing.assert_array_equal(separable.resized_bytes(image, short, filters.triangle), expected)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].int()
    np.testing.assert_array_equal(_triangle_of_bytes(planes, short)[0].permute(1, 2, 0), expected)


@pytest.mark.parametrize("short", [(33, 47), (200, 90), (75, 301), (96, 128)])
def test_floats_by_triangles_are_torchs_with_antialias(short: tuple[int, int]) -> None:
    """But for positions, which torch rounds to float32."""
    array = np.random.default_rng(0).random((96, 128), np.float32)
    expected = interpolate(torch.from_numpy(array)[None, None], short, mode="bilinear", antialias=True)[0, 0]
    got = separable.resized(array, Size(*short), filters.triangle)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@settings(deadline=None)
@given(sizes, sizes)
def test_corners_keep_their_values(long: Size, short: Size) -> None:
    """Exactly, and between them it is torch's ``align_corners=True``, in numpy and in torch."""
    array = np.random.default_rng(long.width).random(long, np.float32)
    got = separable.resized(array, short, filters.linear_corners)
    ends = np.ix_(*((0, -1) if side > 1 else (0,) for side in short))
    np.testing.assert_array_equal(got[ends], array[ends])
    planes = torch.from_numpy(array)[None, None]
    np.testing.assert_allclose(
        got, interpolate(planes, tuple(short), mode="bilinear", align_corners=True)[0, 0], rtol=0, atol=5e-5
    )
    np.testing.assert_allclose(got, resized(planes, short, "linear_corners")[0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "taps", [filters.cubic, filters.linear, filters.linear_of_area, filters.linear_corners, filters.triangle]
)
@pytest.mark.parametrize(("long", "short"), [(640, 256), (256, 640), (7, 7), (1, 9), (9, 1), (1920, 33)])
def test_shares_sum_to_one_and_places_exist(taps: filters.Taps, long: int, short: int) -> None:
    """Of every filter: an even image stays even."""
    places, shares = taps(long, short)
    assert places.shape == shares.shape
    assert places.shape[1] == short
    assert places.min() >= 0
    assert places.max() < long
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=0, atol=1e-12)
