"""The filters that OpenCV lacks, against PIL and torch."""

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


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(sizes, sizes)
def test_bytes_by_triangles_are_pils(source: Size, target: Size) -> None:
    """Every byte equals PIL's, from any size to any size, in numpy and in torch."""
    pytest.importorskip("PIL")
    image = np.random.default_rng(source.height).integers(0, 256, (*source, 3), dtype=np.uint8)
    expected = by_pil(image, target)
    np.testing.assert_array_equal(separable.resized_bytes(image, target, filters.triangle), expected)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].int()
    np.testing.assert_array_equal(_triangle_of_bytes(planes, target)[0].permute(1, 2, 0), expected)


@pytest.mark.parametrize("target", [(33, 47), (200, 90), (75, 301), (96, 128)])
def test_floats_by_triangles_are_torchs_with_antialias(target: tuple[int, int]) -> None:
    """They agree up to positions, which torch rounds to float32."""
    array = np.random.default_rng(0).random((96, 128), np.float32)
    expected = interpolate(torch.from_numpy(array)[None, None], target, mode="bilinear", antialias=True)[0, 0]
    got = separable.resized(array, Size(*target), filters.triangle)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.slow
@settings(deadline=None)
@given(sizes, sizes)
def test_corners_keep_their_values(source: Size, target: Size) -> None:
    """Corner pixels are exact, and the rest equals torch's ``align_corners=True``, in numpy and in torch."""
    array = np.random.default_rng(source.width).random(source, np.float32)
    got = separable.resized(array, target, filters.linear_corners)
    ends = np.ix_(*((0, -1) if side > 1 else (0,) for side in target))
    np.testing.assert_array_equal(got[ends], array[ends])
    planes = torch.from_numpy(array)[None, None]
    np.testing.assert_allclose(
        got, interpolate(planes, tuple(target), mode="bilinear", align_corners=True)[0, 0], rtol=0, atol=5e-5
    )
    np.testing.assert_allclose(got, resized(planes, target, "linear_corners")[0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "taps", [filters.cubic, filters.linear, filters.linear_of_area, filters.linear_corners, filters.triangle]
)
@pytest.mark.parametrize(("source", "target"), [(640, 256), (256, 640), (7, 7), (1, 9), (9, 1), (1920, 33)])
def test_weights_sum_to_one_and_indices_exist(taps: filters.Taps, source: int, target: int) -> None:
    """An even image stays even with every filter."""
    indices, weights = taps(source, target)
    assert indices.shape == weights.shape
    assert indices.shape[1] == target
    assert indices.min() >= 0
    assert indices.max() < source
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=0, atol=1e-12)
