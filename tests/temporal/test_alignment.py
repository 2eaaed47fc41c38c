"""Scale and shift from one frame to the next: found, robust, and without a drift of their own."""

from __future__ import annotations

import numpy as np
import pytest

from stream.temporal.alignment import IDENTITY, Alignment, align
from stream.temporal.sample import SAMPLE_PX, Sample, sample_grid

RNG = np.random.default_rng(5)
SCENE = RNG.gamma(2.0, 1.0, 4000).astype(np.float32)
GRAY = np.full(4000, 100.0, np.float32)


def seen(depth: np.ndarray, gray: np.ndarray = GRAY) -> Sample:
    return Sample(depth.astype(np.float32), gray.astype(np.float32))


@pytest.mark.parametrize(("scale", "shift"), [(2.0, -3.0), (0.1, 50.0), (1.0, 0.0)])
def test_scale_and_shift_are_taken_back(scale: float, shift: float) -> None:
    """The same scene in another scale is aligned to the first one."""
    found = align(seen((SCENE - shift) / scale), seen(SCENE), SCENE)
    assert found is not None
    np.testing.assert_allclose(found((SCENE - shift) / np.float32(scale)), SCENE, atol=1e-3)


def test_what_moved_does_not_pull() -> None:
    """A fifth of the pixels shows something else now: pixels that changed count little, and so do those far off."""
    moved = SCENE.copy()
    moved[:800] += 20
    gray = GRAY.copy()
    gray[:800] += 60
    found = align(seen(moved, gray), seen(SCENE), SCENE)
    assert found is not None
    assert abs(found.scale - 1) < 0.05
    plain = np.polyfit(moved, SCENE, 1)
    assert abs(found.scale - 1) < 0.2 * abs(plain[0] - 1)


def test_noise_does_not_shrink_depth_frame_by_frame() -> None:
    """500 frames of one noisy scene, each fitted to the one before: its spread stays; plain least squares loses it."""
    aligned, plain = SCENE, SCENE.astype(np.float64)
    before = seen(SCENE)
    for _ in range(500):
        now = seen(SCENE + RNG.normal(0, 0.15, SCENE.shape))
        found = align(now, before, aligned)
        assert found is not None
        aligned, before = found(now.depth), now
        plain = np.polyval(np.polyfit(now.depth, plain, 1), now.depth)
    assert np.std(aligned) == pytest.approx(np.std(SCENE), rel=0.1)
    assert np.std(plain) < 0.7 * np.std(SCENE)


def test_unknown_depth_is_left_out() -> None:
    """NaN in either frame takes no part."""
    holes = SCENE.copy()
    holes[::3] = np.nan
    found = align(seen(2 * holes), seen(SCENE), SCENE)
    assert found is not None
    assert found.scale == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    "now",
    [np.full(4000, np.nan), np.full(4000, 3.0), -SCENE, RNG.permutation(SCENE)],
    ids=["nothing known", "flat", "inside out", "another scene"],
)
def test_maps_with_little_in_common_are_not_aligned(now: np.ndarray) -> None:
    """Unrelated maps are not aligned."""
    assert align(seen(now), seen(SCENE), SCENE) is None


def test_relaxing_goes_towards_no_change() -> None:
    """Half of the way to the identity, and all of the way."""
    found = Alignment(3.0, 2.0)
    assert found.relaxed(0.5) == Alignment(2.0, 1.0)
    assert found.relaxed(1.0) == IDENTITY


def test_a_sample_is_small_whatever_the_image() -> None:
    """Depth and brightness are sampled at the same pixels."""
    depth = np.arange(1080 * 1920, dtype=np.float32).reshape(1080, 1920)
    image = np.repeat((depth % 251).astype(np.uint8)[..., None], 3, axis=2)
    sample = sample_grid(depth, image)
    assert len(sample.depth) <= SAMPLE_PX
    np.testing.assert_array_equal(sample.depth % 251, sample.gray)
