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
CATCH_UP_S = 2.0
"""The longest time to skip buffered images: a machine that decodes slower than the camera sends never catches up."""


class Backlog:
    """Buffered access units come without a pause; the first that comes after one is fresh, and so is all after it."""

    def __init__(self, time_line: TimeLine) -> None:
        self._has_times, self._over = time_line in ("rtp", "segments"), time_line == "polled"
        self._began_ns: int | None = None
        self._last_ns = 0
        self._top_s: float | None = None
        self._waited_s = 0.0
        self._steps: deque[tuple[float, float]] = deque(maxlen=PACED_UNITS)

    def is_over(self, unit: AccessUnit, *, is_late: bool) -> bool:
        """Whether ``unit`` is fresh; once True, always True. The first one cannot be known to be.

        ``is_late``: it has waited here, and a newer one has come: what came at its pace is old if it was read late.
        """
        if self._over:
            return True
        now_ns, waited_s = monotonic_ns(), (unit.first_ns - self._last_ns) / NS_PER_S
        self._last_ns = unit.first_ns
        if self._began_ns is None:
            self._began_ns, self._top_s = now_ns, unit.media_s
            return False
        is_fresh = waited_s > FRESH_AFTER_S and not is_late and self._has_pace(unit.media_s, waited_s)
        self._over = is_fresh or now_ns - self._began_ns > CATCH_UP_S * NS_PER_S
        return self._over

    def _has_pace(self, media_s: float | None, waited_s: float) -> bool:
        """Whether the last units came no faster than twice their media pace."""
        self._waited_s += waited_s
        if self._has_times and media_s is not None:
            step_s = media_s - (media_s if self._top_s is None else self._top_s)
            # Reordered images step back: only what goes beyond the newest is progress.
            if 0 < step_s < 1:
                self._steps.append((self._waited_s, step_s))
            if step_s > 0 or self._top_s is None:
                self._top_s, self._waited_s = media_s, 0.0
        waits_s, steps_s = (sum(column) for column in zip(*self._steps, strict=True)) if self._steps else (0.0, 0.0)
        return waits_s >= steps_s / 2
