"""The flicker index: change of depth where the image does not change, in 255ths of the depth range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream.temporal.flicker import FlickerIndex
from stream.temporal.sample import Sample

DEPTH = np.linspace(0, 1, 1001, dtype=np.float32)
GRAY = np.full(1001, 50.0, np.float32)
RANGE = 0.96
"""The range is from the 2nd to the 98th percentile."""


def sample(depth: np.ndarray = DEPTH, gray: np.ndarray = GRAY) -> Sample:
    return Sample(depth.astype(np.float32), gray.astype(np.float32))


def test_a_shift_of_one_level_counts_one() -> None:
    """Whatever the unit of the depth."""
    for unit in (1.0, 1000.0):
        index = FlickerIndex()
        index.add(sample(), sample(), unit * DEPTH, unit * (DEPTH + np.float32(RANGE / 255)))
        assert index.level == pytest.approx(1.0, rel=1e-3)


def test_moving_pixels_do_not_count() -> None:
    """Depth may change where the image changed."""
    gray, depth = GRAY.copy(), DEPTH.copy()
    gray[:500] += 40
    depth[:500] += 5
    index = FlickerIndex()
    index.add(sample(), sample(depth, gray), DEPTH, depth)
    assert index.level == 0.0


def test_the_index_is_a_running_mean() -> None:
    """One flickering frame among still ones raises the index, which falls again."""
    index = FlickerIndex()
    index.add(sample(), sample(), DEPTH, DEPTH)
    index.add(sample(), sample(), DEPTH, DEPTH + np.float32(RANGE * 20 / 255))
    assert index.level == pytest.approx(1.0, rel=1e-3)
    for _ in range(100):
        index.add(sample(), sample(), DEPTH, DEPTH)
    assert index.level < 0.01


@pytest.mark.parametrize("depth", [np.full(1001, np.nan), np.zeros(1001)], ids=["unknown", "flat"])
def test_nothing_to_go_by_changes_nothing(depth: np.ndarray) -> None:
    """The index is NaN before the first frame."""
    index = FlickerIndex()
    index.add(sample(depth), sample(depth), depth, depth)
    assert math.isnan(index.level)
