"""Colours: ends, reversal, unknowns, flat frames, and names that do not exist."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stream.errors import UsageError
from stream.render.colormap import COLORMAPS, MIDDLE, UNKNOWN_BGR, lut, paint


def depth_of(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


@pytest.mark.parametrize("name", COLORMAPS)
def test_a_table_has_256_colours_of_opencv(name: str) -> None:
    """BGR, and read-only, because it is shared."""
    colours = lut(name)
    assert (colours.shape, colours.dtype) == ((256, 3), np.uint8)
    assert not colours.flags.writeable
    assert lut(name) is colours
    if name != "gray":
        ramp = np.arange(256, dtype=np.uint8)[:, None]
        expected = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))
        np.testing.assert_array_equal(colours, expected[:, 0])


def test_an_unknown_name_names_the_near_one() -> None:
    """It raises UsageError with a suggestion."""
    with pytest.raises(UsageError, match='colormap "infreno" does not exist; did you mean "inferno"'):
        lut("infreno")


@pytest.mark.parametrize("name", COLORMAPS)
def test_low_and_high_get_the_ends(name: str) -> None:
    """Depth outside of the range, infinities included, gets the colour of the nearer end."""
    colours = lut(name)
    image = paint(depth_of(2.0, 7.0, 1.0, 9.0, -np.inf, np.inf), 2.0, 7.0, colours)
    assert (image.shape, image.dtype) == ((1, 6, 3), np.uint8)
    np.testing.assert_array_equal(image[0], colours[[0, 255, 0, 255, 0, 255]])


def test_every_level_is_reached_in_order() -> None:
    """A ramp uses the table from end to end."""
    ramp = np.linspace(0.5, 80.0, 256, dtype=np.float32)[None]
    np.testing.assert_array_equal(paint(ramp, 0.5, 80.0, lut("gray"))[0, :, 0], np.arange(256))


def test_a_reversed_range_reverses_the_colours() -> None:
    """low > high: near things bright."""
    ramp = np.linspace(1.0, 5.0, 256, dtype=np.float32)[None]
    np.testing.assert_array_equal(
        paint(ramp, 5.0, 1.0, lut("turbo"))[:, 1:-1], paint(ramp, 1.0, 5.0, lut("turbo"))[:, ::-1][:, 1:-1]
    )


def test_unknown_depth_is_dark_gray() -> None:
    """NaN is no depth, so it gets no colour of the table; the depth itself is left alone."""
    depth = depth_of(1.0, np.nan, 2.0)
    image = paint(depth, 1.0, 2.0, lut("inferno"))
    assert tuple(image[0, 1].tolist()) == UNKNOWN_BGR
    assert not (lut("inferno") == UNKNOWN_BGR).all(axis=1).any()
    np.testing.assert_array_equal(depth, depth_of(1.0, np.nan, 2.0))


@pytest.mark.parametrize("value", [0.0, 3.5, -1e30, np.inf])
@pytest.mark.parametrize("bounds", [(3.5, 3.5), (0.0, 1e-42), (np.nan, np.nan)])
def test_a_range_without_width_is_painted_in_the_middle(value: float, bounds: tuple[float, float]) -> None:
    """Nothing is divided by zero (warnings are errors), unknown stays unknown."""
    image = paint(depth_of(value, np.nan), *bounds, lut("viridis"))
    np.testing.assert_array_equal(image[0], [lut("viridis")[MIDDLE], UNKNOWN_BGR])


def test_a_narrow_range_far_from_zero_keeps_its_levels() -> None:
    """A wall 50 m away, 0.1 m deep."""
    ramp = np.linspace(50.0, 50.1, 11, dtype=np.float32)[None]
    levels = paint(ramp, 50.0, 50.1, lut("gray"))[0, :, 0].astype(int)
    np.testing.assert_allclose(levels, np.linspace(0, 255, 11), atol=1)


def test_read_only_and_strided_depth_is_taken() -> None:
    """A transposed view."""
    depth = np.random.default_rng(0).uniform(0, 1, (40, 30)).astype(np.float32)
    depth.flags.writeable = False
    np.testing.assert_array_equal(
        paint(depth.T, 0.0, 1.0, lut("magma")), paint(depth, 0.0, 1.0, lut("magma")).transpose(1, 0, 2)
    )
