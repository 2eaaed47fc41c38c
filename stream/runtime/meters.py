"""Meters that live threads feed while a pipeline runs: durations, waiting times and rates, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from time import monotonic_ns

from stream.core.clock import NS_PER_S

PER_OCTAVE = 32
"""Counters per doubling: neighbours are 2.2 % apart, so the error of a percentile is at most 1.1 %."""
OCTAVES = 48
"""Range of the counters: 1 ns to 78 hours."""


@dataclass(frozen=True, slots=True)
class DurationSummary:
    """Count, total and percentiles of durations, seconds; all zero before the first one."""

    count: int = 0
    total_s: float = 0.0
    p50_s: float = 0.0
    p95_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


class Durations:
    """Histogram of durations with logarithmic counters; for one writing thread and any number of readers."""

    def __init__(self) -> None:
        self._counts = [0] * (PER_OCTAVE * OCTAVES)
        self._count = self._total_ns = self._max_ns = 0

    def add(self, ns: int) -> None:
        """Count one duration, nanoseconds."""
        self._counts[_bucket(ns)] += 1
        self._count += 1
        self._total_ns += ns
        self._max_ns = max(self._max_ns, ns)

    def summary(self) -> DurationSummary:
        """Percentiles of all durations so far."""
        counts = self._counts.copy()
        total = sum(counts)  # not self._count, which the writer may have raised since the copy
        if not total:
            return DurationSummary()
        # The centre of a counter may lie above the longest duration.
        p50, p95, p99 = (min(_percentile(counts, total, q), self._max_ns / NS_PER_S) for q in (0.5, 0.95, 0.99))
        return DurationSummary(self._count, self._total_ns / NS_PER_S, p50, p95, p99, self._max_ns / NS_PER_S)


class WaitMeter:
    """Time that threads wait at one place, including those still waiting. Guarded by its owner's lock."""

    def __init__(self) -> None:
        self._done = Durations()
        self._starts: list[int] = []
        """Start times of the threads still waiting, ns, earliest first because the clock is monotonic."""

    def no_wait(self) -> None:
        """Count a thread that did not have to wait."""
        self._done.add(0)

    def begin(self) -> int:
        """Start to wait; pass the result to ``end``."""
        start = monotonic_ns()
        self._starts.append(start)
        return start

    def end(self, start: int) -> None:
        """Stop waiting."""
        self._starts.remove(start)
        self._done.add(monotonic_ns() - start)

    def summary(self) -> DurationSummary:
        """Percentiles of the finished waits; total and maximum include the unfinished ones."""
        done, now = self._done.summary(), monotonic_ns()
        unfinished_s = sum(now - start for start in self._starts) / NS_PER_S
        longest_s = (now - self._starts[0]) / NS_PER_S if self._starts else 0.0
        return replace(done, total_s=done.total_s + unfinished_s, max_s=max(done.max_s, longest_s))


class RateMeter:
    """Frames per second between the first and the last tick.

    The frames of the first tick do not count: they were made before the measured span began.
    """

    def __init__(self) -> None:
        self._since_first, self._first_ns, self._last_ns = 0, 0, 0
        self._has_ticked = False

    def tick(self, now_ns: int, count: int = 1) -> None:
        """Count frames that passed at ``now_ns``."""
        if self._has_ticked:
            self._since_first += count
        else:
            self._has_ticked, self._first_ns = True, now_ns
        self._last_ns = now_ns

    @property
    def fps(self) -> float:
        span_ns = self._last_ns - self._first_ns
        return self._since_first * NS_PER_S / span_ns if span_ns > 0 else 0.0


def _bucket(ns: int) -> int:
    return min(int(math.log2(ns) * PER_OCTAVE), PER_OCTAVE * OCTAVES - 1) if ns > 1 else 0


def _percentile(counts: list[int], total: int, q: float) -> float:
    """Seconds at the centre of the counter that holds the quantile ``q``."""
    rank, below = q * (total - 1), 0
    for bucket, count in enumerate(counts):
        below += count
        if below > rank:
            return float(2 ** ((bucket + 0.5) / PER_OCTAVE)) / NS_PER_S if bucket else 0.0
    raise AssertionError("the counters do not add up")
