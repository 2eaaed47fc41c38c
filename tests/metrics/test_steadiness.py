"""The change of maps where the scene is static."""

from __future__ import annotations

import numpy as np

from stream.metrics.steadiness import change, static_pixels


def test_only_static_pixels_count() -> None:
    """A thing passes: where it is or was, the map may change; elsewhere it moved by 1 and by 3 levels."""
    truths = [np.full((4, 6), 5.0) for _ in range(3)]
    truths[1][:, 1] = 2.0
    truths[2][:, 2] = 2.0
    static = static_pixels(truths)
    assert [int(mask.sum()) for mask in static] == [20, 16]
    maps = [np.zeros((4, 6)), np.full((4, 6), 1.0), np.full((4, 6), -2.0)]
    maps[1][:, 1] = 99
    found = change(maps, static)
    assert (found.mean, found.worst) == (2.0, 3.0)


def test_sky_stands_still() -> None:
    """Infinitely far twice is the same depth."""
    assert static_pixels([np.full((2, 2), np.inf)] * 2)[0].all()


def test_without_static_pixels_the_change_is_nan() -> None:
    """Everything moved."""
    maps = [np.zeros((2, 2))] * 2
    assert np.isnan(change(maps, [np.zeros((2, 2), bool)]).mean)
