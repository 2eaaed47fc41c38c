"""How long this machine let a thread wait for a core: what a verdict must allow for on a busy machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import monotonic_ns
from typing import NamedTuple, Self

from pipelines.drill.observation import Standstill

TICK_NS = 10_000_000
COUNTS_NS = 15_000_000
"""A shorter delay is what the system's timer does on an idle machine, too."""

AROUND_NS = 500_000_000


class Interval(NamedTuple):
    """From one moment to another, CLOCK_MONOTONIC, nanoseconds."""

    begin_ns: int
    end_ns: int

    @property
    def length_s(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9

    def overlap_ns(self, other: Interval) -> int:
        """Length of what both have in common, nanoseconds."""
        return max(0, min(self.end_ns, other.end_ns) - max(self.begin_ns, other.begin_ns))


class Noise:
    """The moments at which processes stood still although nothing made them wait."""

    def __init__(self, standstills: Iterable[Standstill], *, deliberate: Iterable[Interval] = ()) -> None:
        """``deliberate``: intervals in which the drill itself stopped the process."""
        pauses = tuple(deliberate)
        found = (Interval(each.at_ns - each.late_ns, each.at_ns) for each in standstills)
        self._intervals = [one for one in found if not any(one.overlap_ns(pause) for pause in pauses)]

    def within_s(self, interval: Interval) -> float:
        """The time for which a process stood still in ``interval`` and half a second around it, seconds.

        Around it, because one thread tells of all of them, and they do not wait at the same moment.
        """
        wider = Interval(interval.begin_ns - AROUND_NS, interval.end_ns + AROUND_NS)
        return sum(wider.overlap_ns(one) for one in self._intervals) / 1e9

    @property
    def longest_s(self) -> float:
        """The longest single standstill, seconds."""
        return max((one.length_s for one in self._intervals), default=0.0)


class Ticker:
    """A thread that wakes up every 10 ms inside its ``with`` block and reports every time that it was late."""

    def __init__(self, report: Callable[[Standstill], None]) -> None:
        self._report = report
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        due_ns = monotonic_ns() + TICK_NS
        while not self._stopping.wait(max(0, due_ns - monotonic_ns()) / 1e9):
            now = monotonic_ns()
            if now - due_ns > COUNTS_NS:
                self._report(Standstill(now, now - due_ns))
            due_ns = now + TICK_NS
