"""Metrics of one image and flicker of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from pipelines.evaluation.flicker import FPS, flicker
from pipelines.evaluation.result import lower_is_nearer, metrics
from pipelines.evaluation.sample import Sample
from pipelines.evaluation.sheet import chosen_rows
from pipelines.evaluation.summary import means, medians
from stream.errors import ImageError
from stream.frames import Batch, DepthMap, Frame, Size

pytestmark = pytest.mark.usefixtures("one_thread")


def sample_of(truth: np.ndarray) -> Sample:
    return Sample("made", "made", np.zeros((*truth.shape, 3), np.uint8), truth.astype(np.float32))


def test_the_guess_is_right_about_a_floor_and_wrong_about_a_ceiling() -> None:
    """A plane seen from above it: inverse depth rises evenly down the image, so the fit is perfect."""
    rows = np.linspace(0.1, 0.6, 40)
    floor = 1 / np.repeat(rows[:, None], 50, axis=1)
    guess = lower_is_nearer(Size(40, 50))
    right = metrics(guess, sample_of(floor), "relative_inverse")
    assert (right["spearman"], right["delta1"]) == (pytest.approx(1.0), 1.0)
    assert right["abs_rel"] < 1e-5
    wrong = metrics(guess, sample_of(floor[::-1]), "relative_inverse")
    assert wrong["spearman"] == pytest.approx(-1.0)
    assert wrong["ordinal_error"] == 1.0


def test_the_guess_on_noise_is_scipys_correlation_of_the_rows() -> None:
    """An independent way to the same number."""
    truth = np.random.default_rng(0).uniform(1, 9, (30, 40)) - np.arange(30)[:, None] / 40
    found = metrics(lower_is_nearer(Size(30, 40)), sample_of(truth), "relative_inverse")
    rows = np.repeat(np.arange(30), 40)
    expected = stats.spearmanr(rows, -truth.astype(np.float32).ravel()).statistic
    assert found["spearman"] == pytest.approx(expected, abs=1e-9)


def test_an_image_of_the_sky_cannot_be_scored() -> None:
    """And is named."""
    with pytest.raises(ImageError, match="made: cannot be scored"):
        metrics(lower_is_nearer(Size(20, 20)), sample_of(np.full((20, 20), np.inf)), "relative_inverse")


def test_means_skip_images_without_the_metric() -> None:
    """A view without edges says nothing about edges; none at all gives NaN."""
    images = [{"spearman": 0.2, "edge_share": float("nan")}, {"spearman": 0.6, "edge_share": 0.5}]
    assert means(images)["spearman"] == pytest.approx(0.4)
    assert medians(images)["edge_share"] == 0.5
    assert np.isnan(means(images)["delta1"])


@pytest.mark.parametrize(("images", "rows"), [(1, 1), (5, 5), (12, 12), (61, 12)])
def test_the_sheets_rows_are_spread_over_all_images(images: int, rows: int) -> None:
    """The first and the last among them."""
    chosen = sorted(chosen_rows(images))
    assert len(chosen) == rows
    assert (chosen[0], chosen[-1]) == (0, images - 1)


class Constant:
    """Sees the same ramp in every image, or one that trembles by ``tremble`` of its height from frame to frame."""

    def __init__(self, tremble: float = 0.0) -> None:
        self._tremble = tremble

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        return Batch(None, tuple(frames))

    def estimate(self, batch: Batch) -> list[DepthMap]:
        (frame,) = batch.frames
        ramp = lower_is_nearer(frame.size) / frame.size.height + self._tremble * (frame.seq % 2)
        return [DepthMap(ramp.astype(np.float32), "relative_inverse", frame, "constant")]


@pytest.mark.slow
def test_what_never_changes_does_not_flicker() -> None:
    """Although things move before the camera and its sensor is noisy."""
    for clip in flicker(Constant(), seconds=0.5):
        assert (clip.shown.mean, clip.shown.worst, clip.fitted.worst) == (0.0, 0.0, 0.0)
        assert 0.8 < clip.static_share < 1.0


@pytest.mark.slow
def test_flicker_is_measured_in_levels() -> None:
    """A ramp that jumps up and down by 2% of itself: some 5 levels as shown, less what the range follows; the fit
    takes all of it out."""
    for clip in flicker(Constant(tremble=0.02), seconds=4 / FPS):
        assert 4.0 < clip.shown.mean < 6.0
        assert clip.fitted.worst < 0.01


@pytest.mark.slow
def test_steadied_depth_flickers_less() -> None:
    """The same ramp: what is left of a jump of 5 levels is below one."""
    for clip in flicker(Constant(tremble=0.02), seconds=4 / FPS):
        assert clip.steadied.mean < 0.2 * clip.shown.mean
