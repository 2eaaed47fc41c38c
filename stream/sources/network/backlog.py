"""Recognises what was buffered in front of a connection when it began."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns

from stream.core.clock import NS_PER_S
from stream.sources.network.access_unit import AccessUnit, TimeLine

FRESH_AFTER_S = 0.005
"""An access unit that came this long after the one before did not come out of a buffer."""
PACED_UNITS = 3
"""With media times, this many must come at half their media pace or slower to count as fresh."""
LATE_S = 0.1
"""Also images that came at their pace are old if they came before anybody read them."""
CATCH_UP_S = 2.0
"""The longest time to skip buffered images: a machine that decodes slower than the camera sends never catches up."""


class Backlog:
    """Buffered access units come without a pause; the first that comes after one is fresh, and so is all after it."""

    def __init__(self, time_line: TimeLine) -> None:
        self._has_times, self._over = time_line == "rtp", time_line == "polled"
        self._began_ns: int | None = None
        self._last: AccessUnit | None = None
        self._steps: deque[tuple[float, float]] = deque(maxlen=PACED_UNITS)

    def is_over(self, unit: AccessUnit, captured_ns: int) -> bool:
        """Whether ``unit`` is fresh; once True, always True. The first one cannot be known to be.

        ``captured_ns``: the latest moment at which it can have been captured, CLOCK_MONOTONIC, nanoseconds.
        """
        if self._over:
            return True
        now_ns, last, self._last = monotonic_ns(), self._last, unit
        if last is None or self._began_ns is None:
            self._began_ns = now_ns
            return False
        waited_s = (unit.first_ns - last.first_ns) / NS_PER_S
        is_late = now_ns - captured_ns > LATE_S * NS_PER_S
        is_fresh = waited_s > FRESH_AFTER_S and not is_late and self._has_pace(last, unit, waited_s)
        self._over = is_fresh or now_ns - self._began_ns > CATCH_UP_S * NS_PER_S
        return self._over

    def _has_pace(self, last: AccessUnit, unit: AccessUnit, waited_s: float) -> bool:
        """Whether the last units came no faster than twice their media pace."""
        if self._has_times and unit.media_s is not None and last.media_s is not None:
            step_s = unit.media_s - last.media_s
            if 0 < step_s < 1:
                self._steps.append((waited_s, step_s))
        waits_s, steps_s = (sum(column) for column in zip(*self._steps, strict=True)) if self._steps else (0.0, 0.0)
        return waits_s >= steps_s / 2
