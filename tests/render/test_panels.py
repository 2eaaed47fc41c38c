"""Panels in a row, and a warning that can be read anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from stream.render.panels import side_by_side, stamp_text


def test_panels_stand_in_a_row_below_their_captions() -> None:
    """The images themselves are untouched; another height is scaled."""
    left, right = np.full((140, 200, 3), 90, np.uint8), np.full((70, 50, 3), 160, np.uint8)
    row = side_by_side([("camera", left), ("depth", right)])
    assert (row.shape, row.dtype) == ((140 + 18, 200 + 100, 3), np.uint8)
    np.testing.assert_array_equal(row[18:, :200], left)
    assert (row[18:, 200:] == 160).all()
    for strip in (row[:18, :200], row[:18, 200:]):
        assert strip.max() > 200, "a caption is there"


def test_a_long_caption_stays_in_its_panel() -> None:
    """It gets smaller instead of being cut off."""
    row = side_by_side([("a caption that is far too long for so small a panel", np.zeros((100, 120, 3), np.uint8))])
    assert row[:18, :118].max() > 100
    assert row[:18, 118:].max() <= 40


@pytest.mark.parametrize("background", [0, 128, 255])
@pytest.mark.parametrize("size", [(64, 64), (48, 64), (120, 160), (480, 640), (1080, 1920), (64, 2000)])
def test_a_stamp_is_white_on_dark_whatever_is_below(size: tuple[int, int], background: int) -> None:
    """Bright letters, all of them inside, on a bar that is dark; the rest of the image stays."""
    image = np.full((*size, 3), background, np.uint8)
    image.flags.writeable = False
    marked = stamp_text(image, "RANDOM WEIGHTS")
    bar_px = max(12, round(size[0] / 12)) * (2 if size[1] < 100 else 1)
    np.testing.assert_array_equal(marked[:-bar_px], image[:-bar_px])
    bar = marked[-bar_px:]
    letters = bar.max(axis=2) > 150
    assert letters.sum() > 100
    assert np.median(bar) <= 51
    assert not letters[:, -1].any()
    assert not letters[0].any()
    assert not letters[-1].any()
