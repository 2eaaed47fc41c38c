"""Image changes that count as a cut, and others that do not."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from stream.frames import Image, Size
from stream.temporal.scene_cut import CUT_LEVELS, CutDetector

CAMERA_SIZES = [
    *(Size(480, 640), Size(720, 1280), Size(1080, 1920), Size(360, 640), Size(576, 704), Size(576, 720)),
    *(Size(288, 352), Size(240, 320), Size(1520, 2688), Size(1944, 2592), Size(640, 480)),
]


def ramp(size: Size, level: float = 0.0) -> Image:
    """An image that looks the same at every size."""
    line = np.linspace(level, 200 + level, size.width).astype(np.uint8)
    return np.broadcast_to(line[None, :, None], (*size, 3))


def test_another_size_is_a_cut_even_with_the_same_content() -> None:
    """This holds for every pair of common sizes: learnt state belongs to pixels of the old size."""
    for before, after in permutations(CAMERA_SIZES, 2):
        cuts = CutDetector()
        cuts.is_cut(ramp(before))
        assert cuts.is_cut(ramp(after)), f"{before} -> {after}"
        assert not cuts.is_cut(ramp(after)), f"{after} twice"


def test_the_first_image_is_a_cut() -> None:
    """There is nothing that it could go on from."""
    assert CutDetector().is_cut(ramp(Size(480, 640)))


@pytest.mark.parametrize(("levels", "cut"), [(CUT_LEVELS - 2, False), (CUT_LEVELS + 2, True)])
def test_a_cut_is_a_large_change_of_brightness_in_the_same_places(levels: float, cut: bool) -> None:
    """Either side of the limit."""
    cuts = CutDetector()
    cuts.is_cut(ramp(Size(240, 320)))
    assert cuts.is_cut(ramp(Size(240, 320), levels)) is cut
