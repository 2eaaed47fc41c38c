"""Depth as numbers: exact values stay exact, others are rounded as documented, and unknown stays unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from stream.errors import WireError
from stream.frames import Floats, Kind, Size
from stream.wire.header import Compression, Encoding, Header, WireKind
from stream.wire.message import Message, parse
from tests.wire.samples import KINDS, WAYS, depth_of, map_of, packed

ANY_FLOAT = st.floats(width=32) | st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 65.534, 65.5345, 1e-45, 3.4e38])
ANY_DEPTH = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=ANY_FLOAT)


def through(depth: Floats, kind: Kind, encoding: Encoding, compression: Compression = Compression.RAW) -> Message:
    return parse(packed(map_of(depth, kind), encoding, compression))


@given(depth=ANY_DEPTH, kind=st.sampled_from(KINDS), compression=st.sampled_from([Compression.RAW, Compression.ZSTD]))
def test_float32_comes_back_bit_for_bit(depth: Floats, kind: Kind, compression: Compression) -> None:
    message = through(depth, kind, Encoding.F32, compression)
    assert message.array().tobytes() == depth.tobytes()
    assert message.depth().tobytes() == depth.tobytes()


@given(depth=ANY_DEPTH, kind=st.sampled_from(KINDS), compression=st.sampled_from([Compression.RAW, Compression.ZSTD]))
def test_float16_is_rounded_to_the_nearest(depth: Floats, kind: Kind, compression: Compression) -> None:
    message = through(depth, kind, Encoding.F16, compression)
    with np.errstate(over="ignore"):
        expected = depth.astype(np.float16)
    np.testing.assert_array_equal(message.array(), expected)
    np.testing.assert_array_equal(message.depth(), expected.astype(np.float32))


@given(depth=ANY_DEPTH, way=st.sampled_from([way for way in WAYS if way[0] == Encoding.U16]))
def test_millimetres_are_rounded_and_never_a_wrong_distance(depth: Floats, way: tuple[Encoding, Compression]) -> None:
    """By exact arithmetic: within 0.505 mm (half a millimetre and float32's own rounding at 65 m), or unknown."""
    message = through(depth, "metric", *way)
    stored, exact = message.array().astype(np.float64), depth.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.abs(stored - 1000 * exact) <= 0.505
    representable = (exact >= 0.000505) & (exact <= 65.534)
    assert np.all(near[stored > 0])
    assert np.all(stored[representable] > 0)
    assert stored.max() <= 65534
    np.testing.assert_array_equal(np.isnan(message.depth()), stored == 0)
    np.testing.assert_allclose(message.depth()[stored > 0], stored[stored > 0] / 1000, rtol=2e-7)


@given(depth=ANY_DEPTH, kind=st.sampled_from(KINDS[1:]), way=st.sampled_from([w for w in WAYS if w[0] == Encoding.U16]))
def test_relative_steps_are_within_half_a_step(depth: Floats, kind: Kind, way: tuple[Encoding, Compression]) -> None:
    """And a hundredth. 65,534 steps from the least to the greatest known value, whatever these are."""
    message = through(depth, kind, *way)
    back, known = message.depth(), np.isfinite(depth)
    np.testing.assert_array_equal(np.isfinite(back), known)
    np.testing.assert_array_equal(message.array() == 0, ~known)
    if known.any():
        low, high = float(depth[known].min()), float(depth[known].max())
        assert (message.header.z_min, message.header.z_max) == (low, high)
        error = np.abs(back[known].astype(np.float64) - depth[known].astype(np.float64))
        assert error.max() <= 0.51 * (high - low) / 65534 + 1e-6 * max(abs(low), abs(high)) + 1e-45


@given(depth=ANY_DEPTH, kind=st.sampled_from(KINDS), way=st.sampled_from(WAYS))
def test_the_header_has_the_range_of_the_decoded_values(
    depth: Floats, kind: Kind, way: tuple[Encoding, Compression]
) -> None:
    """Least and greatest finite value of ``depth()``; 0, 0 where nothing is known."""
    message = through(depth, kind, *way)
    back = message.depth()
    known = back[np.isfinite(back)]
    expected = (known.min(), known.max()) if known.size else (0.0, 0.0)
    rounding = 1e-6 * float(
        max(1e-38, *np.abs(expected))
    )  # of metres from millimetres, of depth from steps, in float32
    assert (message.header.z_min, message.header.z_max) == pytest.approx(expected, abs=rounding)


def test_millimetres_of_plain_numbers() -> None:
    depth = np.array(
        [[0.5, 1.2344, 1.2346, 0.0004, 0.0006, 65.534, 65.535, -1.0, np.nan, np.inf, -np.inf, 0.0]], np.float32
    )
    stored = through(depth, "metric", Encoding.U16).array()
    assert stored.tolist() == [[500, 1234, 1235, 0, 1, 65534, 0, 0, 0, 0, 0, 0]]


def test_relative_steps_of_plain_numbers() -> None:
    """The ends are exact, and a constant map is all ones."""
    message = through(np.array([[2.0, 4.0, 3.0, np.nan]], np.float32), "relative", Encoding.U16)
    assert message.array().tolist() == [[1, 65535, 32768, 0]]
    np.testing.assert_array_equal(message.depth(), np.array([[2.0, 4.0, 3.0, np.nan]], np.float32))
    assert through(np.full((2, 2), 3.0, np.float32), "relative", Encoding.U16).array().tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", [Encoding.F32, Encoding.F16, Encoding.U16])
def test_nothing_known_is_a_message_too(kind: Kind, encoding: Encoding) -> None:
    message = through(np.full((3, 4), np.nan, np.float32), kind, encoding)
    assert np.isnan(message.depth()).all()
    assert (message.header.z_min, message.header.z_max) == (0, 0)


@pytest.mark.parametrize(("encoding", "scale"), [(Encoding.F32, 1.0), (Encoding.F16, 1.0), (Encoding.U16, 0.001)])
def test_relative_depth_never_has_a_scale(encoding: Encoding, scale: float) -> None:
    """Only metric depth says how its numbers become metres, and only it has a name in ROS."""
    metric = through(depth_of(), "metric", encoding).header
    assert metric.kind == WireKind.METRIC
    assert metric.scale == pytest.approx(scale)
    assert metric.ros_encoding == {Encoding.F32: "32FC1", Encoding.U16: "16UC1"}.get(encoding, "")
    for kind in KINDS[1:]:
        header = through(depth_of(), kind, encoding).header
        assert (header.scale, header.ros_encoding) == (0, "")


def test_another_publishers_scale_is_obeyed() -> None:
    """Ten micrometres a unit in 16 bits, or kilometres in float32."""
    message = packed(map_of(np.full((2, 3), 2.0, np.float32)), Encoding.U16, Compression.RAW)
    fine = replace(Header.parse(message), scale=0.00001).pack() + message[256:]
    np.testing.assert_allclose(parse(fine).depth(), 0.02, rtol=1e-6)
    message = packed(map_of(np.full((2, 3), 2.0, np.float32)), Encoding.F32, Compression.RAW)
    coarse = replace(Header.parse(message), scale=1000.0).pack() + message[256:]
    np.testing.assert_allclose(parse(coarse).depth(), 2000.0)


def test_colour_has_no_depth() -> None:
    header = Header("preview/a", 0, 0, 0, 1, 1, 3, 3, Encoding.U8X3, Compression.RAW, WireKind.COLOUR)
    message = parse(header.pack() + b"\x01\x02\x03")
    assert message.array().tolist() == [[[1, 2, 3]]]
    with pytest.raises(WireError, match="no depth"):
        message.depth()


def test_a_map_of_another_memory_order_is_sent_right() -> None:
    """A transposed view, a slice with steps, float64."""
    depth = np.arange(12, dtype=np.float32).reshape(3, 4)
    views: list[Any] = [depth.T, depth[::2, ::-1], depth.astype(np.float64)]
    for view in views:
        np.testing.assert_array_equal(through(view, "metric", Encoding.F32).depth(), view)
        np.testing.assert_array_equal(through(view, "metric", Encoding.U16, Compression.PNG16).array(), view * 1000)


@pytest.mark.parametrize("size", [Size(0, 4), Size(4, 0), Size(1, 16385)])
def test_a_size_that_no_header_holds_is_an_error_of_ours(size: Size) -> None:
    with pytest.raises(WireError, match="16384"):
        through(np.zeros(size, np.float32), "metric", Encoding.F32)
