"""The error rate of depth order on random pairs."""

from __future__ import annotations

import numpy as np
import pytest

from stream.metrics.ordinal import ordinal_error

TRUTH = np.random.default_rng(3).uniform(1, 20, 2000)


def test_the_true_order_has_no_error_and_its_opposite_has_only_errors() -> None:
    """Whatever the scale: only the order counts."""
    assert ordinal_error(1 / TRUTH, TRUTH) == 0.0
    assert ordinal_error(np.exp(-TRUTH), TRUTH) == 0.0
    assert ordinal_error(TRUTH, TRUTH) == 1.0


def test_chance_is_wrong_half_of_the_time() -> None:
    """Within four standard errors of 20,000 pairs."""
    assert ordinal_error(np.random.default_rng(4).normal(size=2000), TRUTH) == pytest.approx(0.5, abs=0.015)


def test_a_flat_map_answers_nothing() -> None:
    """A tie is no answer, so it is wrong."""
    assert ordinal_error(np.zeros(2000), TRUTH) == 1.0


def test_it_is_the_share_of_all_ordered_pairs() -> None:
    """Against every pair counted by hand, 2% apart or more."""
    guess = 1 / TRUTH[:60] + np.random.default_rng(5).normal(0, 0.1, 60)
    truth, wrong, counted = TRUTH[:60], 0, 0
    for i in range(60):
        for j in range(60):
            if max(truth[i], truth[j]) / min(truth[i], truth[j]) >= 1.02:
                counted += 1
                wrong += (guess[i] > guess[j]) != (truth[i] < truth[j])
    assert ordinal_error(guess, truth, pairs=200_000) == pytest.approx(wrong / counted, abs=0.005)


def test_pairs_too_close_to_call_do_not_count() -> None:
    """The metric is NaN if all pairs are within 1%, all sky, or there is no point."""
    assert np.isnan(ordinal_error(np.arange(50.0), np.linspace(10, 10.1, 50)))
    assert np.isnan(ordinal_error(np.arange(50.0), np.full(50, np.inf)))
    assert np.isnan(ordinal_error(np.empty(0), np.empty(0)))


def test_the_sky_is_behind_everything() -> None:
    """Two things and a sky."""
    assert ordinal_error(np.array([2.0, 1.0, 0.0]), np.array([3.0, 70.0, np.inf])) == 0.0


def test_a_seed_gives_one_answer() -> None:
    """And another seed another one, nearby."""
    guess = np.random.default_rng(6).normal(size=2000)
    assert ordinal_error(guess, TRUTH, seed=1) == ordinal_error(guess, TRUTH, seed=1)
    assert ordinal_error(guess, TRUTH, seed=1) != ordinal_error(guess, TRUTH, seed=2)
