"""Percentiles in bounded memory, and the accounting line."""

from __future__ import annotations

import random
import threading
from time import monotonic_ns

import numpy as np
import pytest

from stream.runtime.meters import Durations, RateMeter, WaitMeter
from stream.runtime.stats import Account


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_percentiles_are_close_to_exact_ones(seed: int) -> None:
    """Within 2 % of numpy on durations over five decades."""
    rng = random.Random(seed)
    values = [int(10 ** rng.uniform(3, 8)) for _ in range(5000)]
    durations = Durations()
    for value in values:
        durations.add(value)
    summary = durations.summary()
    exact = np.percentile(values, [50, 95, 99], method="lower") / 1e9
    assert [summary.p50_s, summary.p95_s, summary.p99_s] == pytest.approx(exact, rel=0.02)
    assert summary.max_s == max(values) / 1e9
    assert summary.total_s == pytest.approx(sum(values) / 1e9)


@pytest.mark.parametrize("ns", [0, 1, 10**18])
def test_extreme_durations_are_counted(ns: int) -> None:
    """Nothing and eleven days alike."""
    durations = Durations()
    durations.add(ns)
    assert durations.summary().count == 1
    assert durations.summary().max_s == ns / 1e9


def test_nothing_seen_is_all_zeros() -> None:
    """An empty distribution has no percentiles and does not fail."""
    assert Durations().summary().p99_s == 0.0


def test_a_wait_that_goes_on_counts() -> None:
    """A wait that has not ended is in the total."""
    meter = WaitMeter()
    start = meter.begin()
    going_on = meter.summary()
    meter.end(start)
    assert going_on.count == 0
    assert 0 < going_on.total_s <= meter.summary().total_s


def test_the_longest_wait_is_one_threads() -> None:
    """Three waits at once: the total is their sum, the maximum the first one's."""
    meter = WaitMeter()
    starts = [meter.begin() for _ in range(3)]
    threading.Event().wait(0.05)
    going_on, elapsed_s = meter.summary(), (monotonic_ns() - starts[0]) / 1e9
    assert 0.05 <= going_on.max_s <= elapsed_s
    assert 3 * 0.05 <= going_on.total_s <= 3 * elapsed_s
    meter.end(starts[1])
    assert meter.summary().max_s >= going_on.max_s
    meter.end(starts[0])
    meter.end(starts[2])
    assert meter.summary().count == 3
    assert meter.summary().max_s < meter.summary().total_s


def test_rate_of_batches() -> None:
    """Two batches of four, one second apart, are four frames a second; an empty one in front adds time alone."""
    rate = RateMeter()
    rate.tick(0, 4)
    rate.tick(1_000_000_000, 4)
    assert rate.fps == pytest.approx(4.0)
    rate = RateMeter()
    for now_ns, count in ((0, 0), (1_000_000_000, 3)):
        rate.tick(now_ns, count)
    assert rate.fps == pytest.approx(3.0)


def test_rate_is_counted_over_its_span() -> None:
    """Three frames in two tenths of a second are ten a second."""
    rate = RateMeter()
    for now_ns in (0, 100_000_000, 200_000_000):
        rate.tick(now_ns)
    assert rate.fps == pytest.approx(10.0)


def test_the_account_reads_as_a_sum() -> None:
    """captured = published + dropped by reason + in flight."""
    account = Account("publish", "cam0", 10, 7, {"superseded (capture > depth)": 2})
    assert account.in_flight == 1
    assert str(account) == "cam0: 10 captured = 7 published + 2 superseded (capture > depth) + 1 in flight"
