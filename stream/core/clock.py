"""Time in the pipeline: control logic uses the monotonic clock, the wall clock only labels frames.

The wall clock may be stepped by hand or by NTP while the pipeline runs; no decision here depends on it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns, time_ns
from typing import Literal, Self

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NowNs = Callable[[], int]
"""A monotonic clock, nanoseconds; tests pass their own."""

StampSource = Literal["arrival", "file", "rtcp", "device", "synthetic"]
"""arrival: this machine's clock when the frame arrived. file: the file's time line. rtcp: the camera's clock, by RTCP
sender reports. device: a webcam's driver, or a local source in GStreamer. synthetic: the rendered scene."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time at which a frame was captured.

    >>> Stamp(mono_ns=1_000_000_000, unix_ns=0).age_s(now_ns=3_000_000_000)
    2.0
    """

    mono_ns: int
    """CLOCK_MONOTONIC, nanoseconds: for ages and intervals."""
    unix_ns: int
    """Nanoseconds since 1970 UTC: a label for people and other machines."""
    source: StampSource = "arrival"
    """The clock that the time was read from."""
    media_s: float | None = None
    """Position on the source's own time line, seconds; None where the source has no time line."""
    uncertainty_s: float | None = None
    """Largest error of ``unix_ns`` by the clock named in ``source``, seconds; None where unknown."""

    @classmethod
    def now(cls, source: StampSource = "arrival", media_s: float | None = None) -> Self:
        """Read both clocks of this machine."""
        return cls(monotonic_ns(), time_ns(), source, media_s)

    def age_s(self, now_ns: int | None = None) -> float:
        """Seconds since capture, by the monotonic clock."""
        return ((monotonic_ns() if now_ns is None else now_ns) - self.mono_ns) / NS_PER_S

    def seconds_after(self, earlier: Stamp) -> float:
        """Seconds since ``earlier``, never negative: by the source's time line if both have one, else monotonic."""
        if self.media_s is not None and earlier.media_s is not None:
            return max(0.0, self.media_s - earlier.media_s)
        return max(0.0, (self.mono_ns - earlier.mono_ns) / NS_PER_S)


def slept_ns() -> int:
    """How long this machine has been suspended since it was started, nanoseconds; always 0 outside of Linux.

    CLOCK_MONOTONIC stands still meanwhile, so that what waited in a buffer looks younger than it is.
    """
    if sys.platform != "linux":
        return 0
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Deadline:
    """One moment shared by several waits for the same thing; passing it on never adds time."""

    at_ns: int
    """The moment, on the clock ``now_ns``, nanoseconds."""
    now_ns: NowNs = monotonic_ns

    @classmethod
    def after(cls, seconds: float, now_ns: NowNs = monotonic_ns) -> Self:
        """A deadline ``seconds`` from now."""
        return cls(now_ns() + round(seconds * NS_PER_S), now_ns)

    @property
    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, (self.at_ns - self.now_ns()) / NS_PER_S)

    @property
    def passed(self) -> bool:
        return self.now_ns() >= self.at_ns


class Pacer:
    """Paces a loop: ``wait_until(t)`` returns ``t`` seconds after the start of the time line, which is the first call.

    A late caller does not wait and does not shift the line. One that falls more than ``slack_s`` behind (after a
    suspended laptop or a debugger) restarts the line at the present moment, so that no burst of frames follows.
    """

    def __init__(self, stopping: threading.Event, *, slack_s: float = 1.0, now_ns: NowNs = monotonic_ns) -> None:
        self._stopping, self._slack_s, self._now_ns = stopping, slack_s, now_ns
        self._zero_ns: int | None = None

    def wait_until(self, line_s: float) -> bool:
        """Wait for ``line_s`` on the time line; return False if ``stopping`` is set before or while waiting."""
        now = self._now_ns()
        if self._zero_ns is None:
            self._zero_ns = now - round(line_s * NS_PER_S)
        wait_s = line_s - (now - self._zero_ns) / NS_PER_S
        if wait_s < -self._slack_s:
            self._zero_ns = now - round(line_s * NS_PER_S)
        if wait_s > 0:
            return not self._stopping.wait(wait_s)
        return not self._stopping.is_set()
