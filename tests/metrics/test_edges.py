"""The share of true jumps that is made in place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stream.metrics.edges import edge_share

SIZE = (80, 320)
TRUTH = np.full(SIZE, 8.0)
TRUTH[:, 160:] = 2.0


def test_the_truth_makes_every_jump() -> None:
    """Upright and on its side, nearer on the left and on the right."""
    for truth in (TRUTH, TRUTH[:, ::-1]):
        assert edge_share(1 / truth, truth) == pytest.approx(1.0)
    lying = np.full((160, 320), 8.0)
    lying[80:] = 2.0
    assert edge_share(1 / lying, lying) == pytest.approx(1.0)


def test_half_a_jump_counts_half_and_a_wrong_one_not_at_all() -> None:
    """More than the jump is no better than the jump."""
    inverse = 1 / TRUTH
    assert edge_share(inverse / 2, TRUTH) == pytest.approx(0.5)
    assert edge_share(inverse * 3, TRUTH) == pytest.approx(1.0)
    assert edge_share(-inverse, TRUTH) == 0.0


def test_the_softer_the_edge_the_less_of_it_is_in_place() -> None:
    """Of a Gaussian blur's step, what lies within two pixels either way: the difference of two normal integrals."""
    shares = [edge_share(cv2.GaussianBlur(1 / TRUTH, (0, 0), sigma), TRUTH) for sigma in (1, 2, 4, 8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[2] == pytest.approx(0.29, abs=0.02)  # erf(1.5 / (4 sqrt 2))


def test_an_edge_elsewhere_is_not_this_edge() -> None:
    """Five pixels aside."""
    assert edge_share(np.roll(1 / TRUTH, 5, axis=1), TRUTH) == 0.0


def test_the_window_grows_with_the_image() -> None:
    """A blur that grows with it costs the same."""
    large = np.kron(TRUTH, np.ones((2, 2)))
    small_share = edge_share(cv2.GaussianBlur(1 / TRUTH, (0, 0), 4), TRUTH)
    assert edge_share(cv2.GaussianBlur(1 / large, (0, 0), 8), large) == pytest.approx(small_share, abs=0.06)


def test_no_edges_give_nan() -> None:
    """A plane, a slope, and an edge whose one side is unknown."""
    assert np.isnan(edge_share(np.ones(SIZE), np.full(SIZE, 3.0)))
    slope = np.tile(np.linspace(1, 9, 320), (80, 1))
    assert np.isnan(edge_share(1 / slope, slope))
    half = np.where(TRUTH > 4, np.nan, TRUTH)
    assert np.isnan(edge_share(1 / TRUTH, half))


def test_the_skyline_is_an_edge() -> None:
    """The sky counts as 80 m, which is where fitted depth ends."""
    truth = np.where(TRUTH > 4, np.inf, TRUTH)
    assert edge_share(1 / np.minimum(truth, 80.0), truth) == pytest.approx(1.0)
