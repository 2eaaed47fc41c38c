"""Time as the pipeline sees it: control logic uses the monotonic clock, the wall clock only labels.

A wall clock may be stepped by hand or by NTP while we run; nothing in here changes its mind when it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns, time_ns
from typing import Literal, Self

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NowNs = Callable[[], int]

StampSource = Literal["arrival", "file", "rtcp", "device", "synthetic"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a frame was captured."""

    mono_ns: int
    """CLOCK_MONOTONIC, nanoseconds: for ages and intervals."""
    unix_ns: int
    """Nanoseconds since 1970 UTC: a label for people and other machines."""
    source: StampSource = "arrival"
    """Who took the time: our clock on arrival, the file's time line, the camera (RTCP), the driver, or the scene."""
    media_s: float | None = None
    """Position on the source's own time line, seconds; None where it has none."""
    uncertainty_s: float | None = None
    """How far ``unix_ns`` may be from the moment of capture by the clock that it was read from; None: not known."""

    @classmethod
    def now(cls, source: StampSource = "arrival", media_s: float | None = None) -> Self:
        return cls(monotonic_ns(), time_ns(), source, media_s)

    def age_s(self, now_ns: int | None = None) -> float:
        """Seconds since capture, by the monotonic clock."""
        return ((monotonic_ns() if now_ns is None else now_ns) - self.mono_ns) / NS_PER_S

    def seconds_after(self, earlier: Stamp) -> float:
        """By the source's own time line where both have one, else by the monotonic clock; never negative."""
        if self.media_s is not None and earlier.media_s is not None:
            return max(0.0, self.media_s - earlier.media_s)
        return max(0.0, (self.mono_ns - earlier.mono_ns) / NS_PER_S)


@dataclass(frozen=True, slots=True)
class Deadline:
    """One moment shared by everybody who waits for the same thing; passing it on never adds time."""

    at_ns: int
    now_ns: NowNs = monotonic_ns

    @classmethod
    def after(cls, seconds: float, now_ns: NowNs = monotonic_ns) -> Self:
        return cls(now_ns() + round(seconds * NS_PER_S), now_ns)

    @property
    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, (self.at_ns - self.now_ns()) / NS_PER_S)

    @property
    def passed(self) -> bool:
        return self.now_ns() >= self.at_ns


class Pacer:
    """Hold a time line: ``wait_until(t)`` returns when ``t`` seconds have passed since the first call.

    Late callers are not made to wait and do not shift the line; one that falls more than ``slack_s`` behind (a
    suspended laptop, a debugger) restarts the line there instead of running a burst to catch up.
    """

    def __init__(self, stopping: threading.Event, *, slack_s: float = 1.0, now_ns: NowNs = monotonic_ns) -> None:
        self._stopping, self._slack_s, self._now_ns = stopping, slack_s, now_ns
        self._zero_ns: int | None = None

    def wait_until(self, line_s: float) -> bool:
        """Wait for ``line_s`` on the time line; False when ``stopping`` was set meanwhile."""
        now = self._now_ns()
        if self._zero_ns is None:
            self._zero_ns = now - round(line_s * NS_PER_S)
        wait_s = line_s - (now - self._zero_ns) / NS_PER_S
        if wait_s < -self._slack_s:
            self._zero_ns = now - round(line_s * NS_PER_S)
        if wait_s > 0:
            return not self._stopping.wait(wait_s)
        return not self._stopping.is_set()
