"""The colour range follows the scene slowly, jumps at a cut, and never breaks on missing depth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.render.depth_range import FixedRange, SmoothRange, range_for
from stream.settings import RenderSettings

GRAY = np.full((48, 64, 3), 120, np.uint8)
HALF_LIFE_S = 0.5


def at(seconds: float) -> Stamp:
    return Stamp(0, 0, "file", seconds)


def ramp(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 48 * 64, dtype=np.float32).reshape(48, 64)


def smooth() -> SmoothRange:
    return SmoothRange(0.0, 100.0, HALF_LIFE_S)


def test_the_first_frame_sets_the_range() -> None:
    """The range is the percentiles of all finite depth."""
    depth = ramp(0.0, 100.0)
    depth[0, 0], depth[-1, -1] = np.nan, np.inf
    assert SmoothRange(10.0, 90.0, 1.0).update(depth, GRAY, at(0)) == pytest.approx((10.0, 90.0), abs=0.1)


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_half_of_a_change_is_followed_after_the_half_life(steps: int) -> None:
    """At every frame rate."""
    depth_range = smooth()
    depth_range.update(ramp(0.0, 10.0), GRAY, at(0))
    for step in range(1, steps + 1):
        followed = depth_range.update(ramp(4.0, 20.0), GRAY, at(HALF_LIFE_S * step / steps))
    assert followed == pytest.approx((2.0, 15.0))


def test_without_a_media_time_the_monotonic_clock_counts() -> None:
    """A webcam has no time line of its own."""
    depth_range = smooth()
    depth_range.update(ramp(0.0, 10.0), GRAY, Stamp(1_000_000_000, 0))
    assert depth_range.update(ramp(0.0, 20.0), GRAY, Stamp(1_500_000_000, 0)) == pytest.approx((0.0, 15.0))


def test_time_that_goes_backwards_counts_as_none() -> None:
    """The next interval is measured from the earlier time."""
    depth_range = smooth()
    depth_range.update(ramp(0.0, 10.0), GRAY, at(9.0))
    assert depth_range.update(ramp(0.0, 20.0), GRAY, at(1.0)) == pytest.approx((0.0, 10.0))
    assert depth_range.update(ramp(0.0, 20.0), GRAY, at(1.5)) == pytest.approx((0.0, 15.0))


def test_a_cut_starts_anew() -> None:
    """Another scene has another range, at once."""
    depth_range = smooth()
    depth_range.update(ramp(0.0, 10.0), GRAY, at(0))
    assert depth_range.update(ramp(50.0, 60.0), GRAY + 60, at(0.04)) == pytest.approx((50.0, 60.0))


def test_another_image_size_starts_anew() -> None:
    """A stream that changes its resolution."""
    depth_range = smooth()
    depth_range.update(ramp(0.0, 10.0), GRAY, at(0))
    assert depth_range.update(ramp(50.0, 60.0), np.full((90, 70, 3), 120, np.uint8), at(0.04)) == pytest.approx(
        (50, 60)
    )


def test_noise_is_no_cut() -> None:
    """A dark, noisy camera."""
    rng, depth_range = np.random.default_rng(0), smooth()
    depth_range.update(ramp(0.0, 10.0), GRAY + rng.integers(0, 60, GRAY.shape, np.uint8), at(0))
    low, high = depth_range.update(ramp(50.0, 60.0), GRAY + rng.integers(0, 60, GRAY.shape, np.uint8), at(0.04))
    assert high < 20.0
    assert low < 10.0


def test_a_frame_without_depth_keeps_the_range() -> None:
    """All NaN; before any depth was seen the range is 0..1."""
    nothing, depth_range = np.full((48, 64), np.nan, np.float32), smooth()
    assert depth_range.update(nothing, GRAY, at(0)) == (0.0, 1.0)
    assert depth_range.update(ramp(3.0, 5.0), GRAY, at(1)) == pytest.approx((3.0, 5.0))
    assert depth_range.update(nothing, GRAY, at(2)) == pytest.approx((3.0, 5.0))


def test_large_and_tiny_images_are_sampled() -> None:
    """4K and 8 px."""
    for height, width in ((2160, 3840), (8, 8)):
        depth = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
        low, high = smooth().update(depth, np.zeros((height, width, 3), np.uint8), at(0))
        assert (low, high) == pytest.approx((0.0, 1.0), abs=0.02)


def test_a_fixed_range_is_fixed() -> None:
    """No frame changes it."""
    assert FixedRange(1.0, 8.0).update(ramp(-5.0, 99.0), GRAY, at(0)) == (1.0, 8.0)


def test_the_settings_choose_the_range() -> None:
    """Smooth unless it is fixed."""
    fixed = range_for(RenderSettings(range="fixed", low=2.0, high=1.0))
    assert fixed.update(ramp(-5.0, 99.0), GRAY, at(0)) == (2.0, 1.0)
    followed = range_for(RenderSettings(low_percentile=0, high_percentile=100))
    assert followed.update(ramp(-5.0, 99.0), GRAY, at(0)) == pytest.approx((-5.0, 99.0))


def worst_jump(update: Callable[[np.ndarray, np.ndarray, Stamp], tuple[float, float]]) -> float:
    """Levels of 255 by which static pixels change in the worst frame while a near object enters a room with a wall."""
    wall = np.random.default_rng(0).normal(1.0, 0.02, (48, 64)).astype(np.float32) + np.linspace(
        0, 0.5, 64, dtype=np.float32
    )
    previous, worst = None, 0.0
    for index in range(60):
        depth, image = wall.copy(), GRAY.copy()
        if index >= 20:
            depth[20:40, 10 : 10 + index // 2], image[20:40, 10 : 10 + index // 2] = 4.0, 60
        low, high = update(depth, image, at(index / 25))
        levels = np.clip((wall - low) / (high - low), 0, 1)[:20] * 255
        if previous is not None:
            worst = max(worst, float(np.abs(levels - previous).mean()))
        previous = levels
    return worst


def test_static_pixels_hardly_flicker_when_an_object_enters() -> None:
    """Per-frame extremes recolour the wall at once; the smooth range jumps by at most a third of that (27 of 104)."""
    extremes = worst_jump(lambda depth, image, stamp: (float(depth.min()), float(depth.max())))
    smoothed = worst_jump(SmoothRange(2.0, 98.0, HALF_LIFE_S).update)
    fixed = worst_jump(FixedRange(0.5, 5.0).update)
    assert extremes > 60
    assert smoothed < extremes / 3
    assert fixed == 0.0
