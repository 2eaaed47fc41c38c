"""What happened to every frame, and where the time went: counters that live threads feed, and frozen snapshots of them.

The law of accounting: at every terminal of a pipeline, for every camera,

    captured = published + sum(dropped by edge or stage, and reason) + in flight

and ``in flight`` is zero once the pipeline has ended. A frame that a stage swallows in silence breaks it visibly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import monotonic_ns
from typing import Literal

from stream.core.clock import NS_PER_S

PER_OCTAVE = 32
"""Counters per doubling: neighbours are 2.2 % apart, so a percentile is off by 1.1 % at most."""
OCTAVES = 48
"""1 ns to 78 hours."""

CameraState = Literal["connecting", "live", "waiting", "refused", "over"]
"""waiting: until the next try; refused: the password is wrong, the next try is far away."""
CameraGrade = Literal["unknown", "good", "fair", "poor"]

DropKey = tuple[str, str]
"""(camera, reason)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of durations, seconds; zeros when nothing was seen."""

    count: int = 0
    total_s: float = 0.0
    p50_s: float = 0.0
    p95_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


class Durations:
    """Durations in bounded memory: logarithmic counters, one writer, any number of readers."""

    def __init__(self) -> None:
        self._counts = [0] * (PER_OCTAVE * OCTAVES)
        self._count = self._total_ns = self._max_ns = 0

    def add(self, ns: int) -> None:
        self._counts[_bucket(ns)] += 1
        self._count += 1
        self._total_ns += ns
        self._max_ns = max(self._max_ns, ns)

    def spread(self) -> Spread:
        counts = self._counts.copy()
        seen = sum(counts)
        if not seen:
            return Spread()
        p50, p95, p99 = (min(_percentile(counts, seen, q), self._max_ns / NS_PER_S) for q in (0.5, 0.95, 0.99))
        return Spread(self._count, self._total_ns / NS_PER_S, p50, p95, p99, self._max_ns / NS_PER_S)


class WaitMeter:
    """How long threads wait at one place, those still waiting included. Guarded by its owner's lock."""

    def __init__(self) -> None:
        self._done = Durations()
        self._starts: list[int] = []
        """Of those still waiting, the longest first: clocks do not go back."""

    def passed(self) -> None:
        """Somebody went through without waiting."""
        self._done.add(0)

    def begin(self) -> int:
        start = monotonic_ns()
        self._starts.append(start)
        return start

    def end(self, start: int) -> None:
        self._starts.remove(start)
        self._done.add(monotonic_ns() - start)

    def spread(self) -> Spread:
        done, now = self._done.spread(), monotonic_ns()
        going_on_s = sum(now - start for start in self._starts) / NS_PER_S
        longest_s = (now - self._starts[0]) / NS_PER_S if self._starts else 0.0
        return replace(done, total_s=done.total_s + going_on_s, max_s=max(done.max_s, longest_s))


@dataclass(frozen=True, slots=True)
class EdgeStats:
    """One channel between stages."""

    name: str
    policy: str
    capacity: int
    waiting: int
    """Items in it now."""
    peak: int
    accepted: int
    taken: Mapping[str, int]
    """Frames its reader took, by camera."""
    dropped: Mapping[DropKey, int]
    blocked: Spread
    """Time writers waited because it was full."""
    starved: Spread
    """Time its reader waited because it was empty."""


@dataclass(frozen=True, slots=True)
class StageStats:
    """One worker: its steps, what went in and out of it."""

    name: str
    state: str
    """What it is doing now, for people: "busy in infer", "waiting for input", "done", "failed: ..."."""
    steps: Mapping[str, Spread]
    """Working time of each step for one item, waiting excluded."""
    taken: Mapping[str, int]
    """Frames that came in, by camera (for a source: captured)."""
    passed: Mapping[str, int]
    """Frames that went on (for a terminal stage: published)."""
    dropped: Mapping[DropKey, int]
    age: Spread
    """Age of frames when they were published, seconds since capture; of terminal stages only."""
    age_by_camera: Mapping[str, Spread]
    """The same for each camera."""
    fps: float
    """Frames that went on, per second between the first and the last."""


@dataclass(frozen=True, slots=True)
class Account:
    """The fate of one camera's frames on the way to one terminal."""

    terminal: str
    camera: str
    captured: int
    published: int
    dropped: Mapping[str, int]
    """By place and reason: "capture > depth: superseded"."""

    @property
    def in_flight(self) -> int:
        return self.captured - self.published - sum(self.dropped.values())

    def __str__(self) -> str:
        reasons = [f"{count} {where}" for where, count in self.dropped.items()]
        parts = [f"{self.published} published", *reasons, *([f"{self.in_flight} in flight"] if self.in_flight else [])]
        return f"{self.camera}: {self.captured} captured = {' + '.join(parts)}"


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """How a live camera is; none of its texts holds a password."""

    name: str
    state: CameraState
    since_s: float
    """How long it has been in this state."""
    grade: CameraGrade
    """Of the last hour; unknown in the first seconds."""
    reconnects: int
    """In the last hour."""
    stalls: int
    """In the last hour."""
    integrity: Mapping[str, int] = field(default_factory=dict)
    """Images received by integrity: clean, tainted, frozen, black."""
    trouble: str = ""
    """Why the connection ended last; empty while all is well."""
    log: tuple[str, ...] = ()
    """The decoder's last lines before that."""
    about: str = ""
    """What and where, size and rate as the camera gives them."""
    offline_s: float = 0.0
    """How long it has been without images, over all tries since then; 0 while it is live."""


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """A snapshot of a whole pipeline."""

    name: str
    running_s: float
    stages: tuple[StageStats, ...]
    edges: tuple[EdgeStats, ...]
    accounts: tuple[Account, ...] = ()
    statistics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What the recipe adds, by heading: say, the error of the depth against a known truth."""
    cameras: tuple[CameraHealth, ...] = ()
    """Live cameras; files and scenes have no health."""
    notes: tuple[str, ...] = ()
    """What the figures must not be read without: which network ran, with which weights, on what."""

    @property
    def unaccounted(self) -> int:
        """Frames in flight; after the end of the pipeline any other number than 0 is a fault of ours."""
        return sum(account.in_flight for account in self.accounts)


class RateMeter:
    """Frames a second between the first and the last tick; those of the first came before the span began."""

    def __init__(self) -> None:
        self._since_first, self._first_ns, self._last_ns = 0, 0, 0
        self._has_ticked = False

    def tick(self, now_ns: int, count: int = 1) -> None:
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


def _percentile(counts: list[int], seen: int, q: float) -> float:
    rank, below = q * (seen - 1), 0
    for bucket, count in enumerate(counts):
        below += count
        if below > rank:
            return float(2 ** ((bucket + 0.5) / PER_OCTAVE)) / NS_PER_S if bucket else 0.0
    raise AssertionError("the counters do not add up")
