"""Depth as 16-bit integers, strip by strip: the same numbers as of the whole image at once, in little memory."""

from __future__ import annotations

import tracemalloc
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from stream import depth_png
from stream.core.clock import Stamp
from stream.depth_png import LAST, STRIP_PX, Png16, encode_png16, npy_bytes, png_bytes
from stream.frames import DepthMap, Floats, Frame, Kind

KINDS: tuple[Kind, ...] = get_args(Kind)
TALL, WIDE = (1100, 701), (3, STRIP_PX + 5)
"""More than one strip of rows, the last one shorter; rows that are longer than a strip."""


def depth_map(depth: Floats, kind: Kind) -> DepthMap:
    frame = Frame(np.zeros((*depth.shape, 3), np.uint8), "cam0", 0, Stamp(0, 0))
    return DepthMap(depth, kind, frame, "tiny")


def at_once(depth: Floats, kind: Kind) -> Png16:
    """The formula as it reads, over the whole image in float64."""
    wide = depth.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    scale = 0.001 if kind == "metric" else (high - low) / (LAST - 1)
    offset = 0.0 if kind == "metric" else low - scale
    known = ~np.isnan(wide)
    steps = np.full(depth.shape, 1.0)
    np.divide(wide - offset, scale, out=steps, where=known & (scale > 0))
    fitted = np.clip(np.rint(steps), 1, LAST)
    clipped = known & (np.isinf(wide) | (np.rint(steps) != fitted))
    return Png16(np.where(known, fitted, 0).astype(np.uint16), scale, offset, int(clipped.sum()))


def assert_same(depth: Floats, kind: Kind) -> None:
    got, expected = encode_png16(depth_map(depth, kind)), at_once(depth, kind)
    assert (got.scale, got.offset, got.clipped) == (expected.scale, expected.offset, expected.clipped)
    assert got.values.dtype == np.uint16
    np.testing.assert_array_equal(got.values, expected.values)
    assert png_bytes(got.values) == png_bytes(expected.values)


def scene(shape: tuple[int, int], seed: int = 0) -> Floats:
    """Noise from negative depth to beyond the largest value, with every special value that depth can have."""
    depth = np.random.default_rng(seed).normal(20, 30, shape).astype(np.float32)
    depth[0, :7] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 65.535, 65.5356]
    depth[-1, -3:] = [np.nan, 3e30, 1e-30]
    depth[:, ::11] = np.nan
    return depth


@pytest.mark.parametrize("shape", [TALL, WIDE, (1, 40), (40, 7)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_strips_have_the_bytes_of_the_whole(kind: Kind, shape: tuple[int, int]) -> None:
    """Values, scale, offset, number of clipped pixels, and the file; the range's ends may lie in different strips."""
    assert_same(scene(shape), kind)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 7.25])
@pytest.mark.parametrize("kind", KINDS)
def test_strips_without_a_finite_depth_give_nothing_to_the_range(kind: Kind, value: float) -> None:
    """A sky above, a hole below, and one strip between them that has depth."""
    depth = np.full(TALL, value, np.float32)
    rows = slice(TALL[0] // 2, TALL[0] // 2 + 9)
    depth[rows] = np.linspace(1, 9, TALL[1], dtype=np.float32)
    assert_same(depth, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@given(
    depth=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(width=32)),
    strip_px=st.integers(1, 40),
)
def test_whatever_the_depth_and_the_strips(kind: Kind, depth: Floats, strip_px: int) -> None:
    """This includes strips of one row, the largest numbers of float32, and images without any depth."""
    finite = depth[np.isfinite(depth)].astype(np.float64)
    assume(kind == "metric" or (finite.size and np.ptp(finite) > 0))  # flat ones: tests/sinks/test_depth_files.py
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depth_png, "STRIP_PX", strip_px)
        assert_same(depth, kind)


def test_an_image_turned_or_cut_out_is_encoded_as_its_copy() -> None:
    """Rows that do not lie one after the other in memory."""
    depth = scene(TALL)
    for view in (depth.T, depth[::-1, 3:200], depth[::2, ::3]):
        got, expected = (encode_png16(depth_map(each, "relative")) for each in (view, np.ascontiguousarray(view)))
        assert got[1:] == expected[1:]
        np.testing.assert_array_equal(got.values, expected.values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_image_takes_little_more_than_its_integers(kind: Kind) -> None:
    """2 bytes per pixel and a few strips, where float64 of the whole image would take 8 bytes per pixel each time."""
    depth = np.tile(scene((1000, 3000)), (2, 1))
    tracemalloc.start()
    try:
        encode_png16(depth_map(depth, kind))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    image = depth.size * 3
    assert peak - image < depth.size * 2 + STRIP_PX * 50


def test_the_files_read_back() -> None:
    """OpenCV and numpy read them, exact to the last bit."""
    depth = scene((40, 30))
    values = encode_png16(depth_map(depth, "metric")).values
    read = cv2.imdecode(np.frombuffer(png_bytes(values), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, values)
    assert npy_bytes(depth).endswith(depth.tobytes())
