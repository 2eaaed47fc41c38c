"""Dates images that have no media times, or wrong ones: by their arrival, and by the pace at which they come."""

from __future__ import annotations

from collections import deque
from statistics import median

from stream.core.clock import NS_PER_S
from stream.sources.network.access_unit import AccessUnit

INTERVALS, LEAST_INTERVALS = 15, 5
"""Number of intervals whose median is the pace, and with fewer of which it is unknown."""
SILENCE, SILENCE_S = 2.5, 0.2
"""A gap of this many intervals, and of this many seconds, may be a link that stood still."""
BURST = 0.5
"""Images that follow each other within this share of the interval were held up together."""


class Cadence:
    """After a silence, what was held up comes in one burst.

    The image after a silence cannot be told from a held one, so it is dated like one: an interval after the one before.
    The next image decides, by whether it comes at the usual pace. So a camera that paused costs one image its age.
    """

    def __init__(self) -> None:
        self._intervals_ns: deque[int] = deque(maxlen=INTERVALS)
        self._last_ns: int | None = None
        self._captured_ns = 0
        self._is_held = False

    def captured_ns(self, unit: AccessUnit) -> int:
        """The latest moment of capture, CLOCK_MONOTONIC, nanoseconds; never after the arrival of its first byte."""
        gap_ns = unit.first_ns - self._last_ns if self._last_ns is not None else 0
        self._last_ns = unit.first_ns
        interval_ns = round(median(self._intervals_ns)) if len(self._intervals_ns) >= LEAST_INTERVALS else 0
        if interval_ns and gap_ns > max(SILENCE * interval_ns, SILENCE_S * NS_PER_S):
            self._is_held = True
        elif gap_ns >= BURST * interval_ns:
            self._is_held = False
        if self._is_held:
            self._captured_ns = min(unit.first_ns, self._captured_ns + interval_ns)
        else:
            self._captured_ns = unit.first_ns
            if gap_ns > 0:
                self._intervals_ns.append(gap_ns)
        return self._captured_ns
