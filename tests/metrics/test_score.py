"""The per-pixel metrics, against scipy and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stream.metrics.fit import fit_scale_and_shift
from stream.metrics.ordinal import spearman
from stream.metrics.score import score, score_relative_inverse


@pytest.mark.parametrize("levels", [10_000, 20, 2])
def test_spearman_is_scipys(levels: int) -> None:
    """Also with many ties."""
    rng = np.random.default_rng(levels)
    a = rng.integers(0, levels, 500).astype(np.float64)
    b = a + rng.normal(0, levels / 3, 500)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_a_flat_map_has_no_rank_correlation() -> None:
    """Not 0, not an exception: unknown."""
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_a_perfect_relative_map_scores_perfectly() -> None:
    """Any positive scale and any shift of the true inverse depth is perfect."""
    truth = np.random.default_rng(0).uniform(1, 20, (24, 32)).astype(np.float32)
    score = score_relative_inverse(7.5 / truth - 3.0, truth)
    assert score is not None
    assert score.spearman == pytest.approx(1.0, abs=1e-4)
    assert score.abs_rel < 1e-4
    assert score.delta1 == 1.0


def test_an_inverted_map_is_not_rescued() -> None:
    """Near taken for far: the fit may not turn it round."""
    truth = np.linspace(1, 10, 200)
    score = score_relative_inverse(truth, truth)
    assert score is not None
    assert score.spearman == pytest.approx(-1.0)
    assert score.abs_rel > 0.3
    assert fit_scale_and_shift(truth, 1 / truth)[0] == 0.0


def test_sky_counts_as_farthest_but_not_as_a_distance() -> None:
    """Infinite truth takes part in the ranks only."""
    truth = np.array([1.0, 2.0, 4.0, np.inf, np.inf])
    score = score_relative_inverse(np.array([1.0, 0.5, 0.25, 0.0, 0.0]), truth)
    assert score is not None
    assert score.spearman == pytest.approx(1.0)
    assert score.abs_rel == pytest.approx(0.0, abs=1e-9)


def test_nothing_known_is_no_score() -> None:
    """All unknown, or all sky."""
    assert score_relative_inverse(np.ones(9), np.full(9, np.nan)) is None
    assert score_relative_inverse(np.ones(9), np.full(9, np.inf)) is None


def test_metric_depth_is_not_fitted() -> None:
    """Twice the truth is twice the truth: AbsRel 1, nothing within 1.25^3; the order is right all the same."""
    truth = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    found = score(2 * truth, truth, "metric")
    assert found is not None
    assert (found.spearman, found.abs_rel, found.delta3) == (pytest.approx(1.0), pytest.approx(1.0), 0.0)
    assert found.rmse_m == pytest.approx(np.sqrt((1 + 4 + 9 + 16) / 4))


def test_relative_depth_is_fitted_in_depth() -> None:
    """Larger is farther: any positive scale and shift of the metres is perfect."""
    truth = np.random.default_rng(1).uniform(1, 20, 500)
    found = score(0.2 * truth + 5, truth, "relative")
    assert found is not None
    assert found.spearman == pytest.approx(1.0)
    assert found.rmse_m < 1e-6


def test_the_three_deltas_are_nested() -> None:
    """Ratios 1.1, 1.5, 1.9 and 3: each threshold lets one more pass."""
    truth = np.full(4, 10.0)
    found = score(truth * np.array([1.1, 1 / 1.5, 1.9, 3.0]), truth, "metric")
    assert found is not None
    assert (found.delta1, found.delta2, found.delta3) == (0.25, 0.5, 0.75)


def test_metric_depth_below_zero_is_wrong_but_finite() -> None:
    """Also depth beyond the cap, which ends at 80 m."""
    found = score(np.array([-1.0, 0.0, 500.0]), np.array([4.0, 4.0, 40.0]), "metric")
    assert found is not None
    assert found.abs_rel == pytest.approx((1 + 1 + 1) / 3, abs=1e-3)
