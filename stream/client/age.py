"""The age of a frame when the clocks of two machines may differ; the whole rule is in this file.

A message states when its image was captured (C) and when it was sent (P), by the publisher's clock. P - C is right
whatever that clock shows, because the publisher measures it with a monotonic clock. What remains is the time since P:

    age = (P - C) + late        late: the time on the network, and the time that the message waited to be read

By our own clock (U) that time is D = U - P, if both clocks show the same time. A reader cannot know that they do. It
can only notice, now and then, that they do not: no message arrives before it was sent. With D0, the least D of the last
seconds, the cases are:

    same      -5 ms <= D0 <= 1 s     late = D. If our clock is ahead, frames look older, never younger.
    ahead     D0 > 1 s               late = D as well: the network could really be that slow. Frames are refused, and
                                     the reason names both possibilities.
    behind    D0 < -5 ms             late = (D - D0) + W: later than the quickest message of the last seconds, which was
                                     itself at most W late. W is the shortest time that any message of these seconds
                                     can have waited here, because the socket had been found empty that long ago.
    camera    the flag RTCP is set   late as for "behind": the times are by the camera's clock, which may be seconds off
                                     on one and the same machine.
    unknown   only one message yet   the later of both: it may have waited since before we looked.
    stepped   our wall clock was     the later of both, until the last seconds hold nothing from before the step.
              set

"The last seconds" are 15 to 30, so that clocks which drift apart by 100 ppm add 3 ms at most. Under "behind" and
"camera" the least time that the network needs is not included (NTP cannot see it either); a stream that was slow for
more than 30 s without one quick message would look younger than it is, by that much.

Our clock is the wall clock at the opening, carried on by CLOCK_BOOTTIME, which continues while a computer is suspended:
an old frame does not pass for a new one after that. A step of the wall clock is noticed, and everything learnt before
it is discarded.
"""

from __future__ import annotations

import time
from typing import Literal

from stream.core.clock import NS_PER_MS, NowNs
from stream.wire.codes import Flags
from stream.wire.header import Header

HALF_WINDOW_NS = 15_000 * NS_PER_MS
SAME_FROM_NS, SAME_TO_NS = -5 * NS_PER_MS, 1_000 * NS_PER_MS
"""Clocks kept by NTP in one network differ by less than 5 ms, so a smaller difference counts as none."""
STEP_NS = 20 * NS_PER_MS
"""On a busy machine, two readings of two clocks can differ by less than this without a step."""

Clocks = Literal["unknown", "same", "ahead", "behind", "camera", "stepped"]
"""This machine's clock relative to the publisher's; the module's table defines each state."""


def boottime_ns() -> int:
    """Monotonic nanoseconds that continue while the computer is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class AgeClock:
    """Computes the ages of one stream's messages. Call ``received`` for each message, in the order of arrival."""

    def __init__(self, mono_ns: NowNs = boottime_ns, unix_ns: NowNs = time.time_ns) -> None:
        self._mono_ns, self._unix_ns = mono_ns, unix_ns
        self._offset_ns = self._measure_offset()
        self._stepped_until_ns: int | None = None
        self._last: tuple[int, int] | None = None
        """D and W of the newest message, nanoseconds."""
        self._messages = 0
        self._by_camera = False
        self._reset()

    def received(self, header: Header, empty_ns: int) -> None:
        """Learn from a new message.

        ``empty_ns`` is the last moment, on the monotonic clock, at which the message had certainly not arrived.
        """
        self._detect_step()
        by_camera = Flags.RTCP in header.flags
        # The camera has a clock of its own, so an offset learnt from one kind of time stamp says nothing of the other.
        if by_camera != self._by_camera:
            self._by_camera, self._messages = by_camera, 0
            self._reset()
        self._messages += 1
        self._add(self._since_publish_ns(header), self._mono_ns() - empty_ns)

    def restarted(self) -> None:
        """Discard everything learnt: another publisher answers, perhaps on another machine."""
        self._last, self._messages = None, 0
        self._reset()

    def age_ns(self, header: Header) -> int:
        """Age now, since capture, of the newest message or of one of the last few."""
        self._detect_step()
        # No check of the header ensures P >= C, and a negative part would make the frame look younger.
        return max(0, header.publish_ns - header.capture_ns) + max(0, self._late_ns(header))

    def silent_ns(self, header: Header) -> int:
        """Upper bound of the time since this message would have arrived had it been the quickest of the window."""
        since = self._since_publish_ns(header)
        return since - self._least_late.value(since)

    @property
    def clocks(self) -> Clocks:
        if self._by_camera and self._messages:
            return "camera"
        if self._messages < 2:
            return "unknown"
        if self._stepped_until_ns is not None:
            return "stepped"
        least = self._least_late.value(0)
        if least > SAME_TO_NS:
            return "ahead"
        return "same" if least >= SAME_FROM_NS else "behind"

    @property
    def offset_ms(self) -> float | None:
        """D0 in milliseconds; None before the first message.

        Positive: our clock is ahead by at most this much (network delay included). Negative: behind by at least this.
        """
        return None if self._last is None else self._least_late.value(0) / NS_PER_MS

    def _late_ns(self, header: Header) -> int:
        by_wall = self._since_publish_ns(header)
        by_quickest = by_wall - self._least_late.value(by_wall) + self._least_waited.value(0)
        if self.clocks in ("unknown", "stepped"):
            return max(by_wall, by_quickest)
        return by_quickest if self.clocks in ("behind", "camera") else by_wall

    def _since_publish_ns(self, header: Header) -> int:
        return self._mono_ns() + self._offset_ns - header.publish_ns

    def _add(self, late_ns: int, waited_ns: int) -> None:
        now = self._mono_ns()
        self._last = late_ns, waited_ns
        self._least_late.add(now, late_ns)
        self._least_waited.add(now, waited_ns)

    def _reset(self) -> None:
        self._least_late, self._least_waited = WindowMinimum(), WindowMinimum()

    def _detect_step(self) -> None:
        now, offset = self._mono_ns(), self._measure_offset()
        step = offset - self._offset_ns
        if abs(step) > STEP_NS:
            self._offset_ns, self._stepped_until_ns = offset, now + 2 * HALF_WINDOW_NS
            self._reset()
            # The newest value is carried over the step, and stays in the window for two half windows at most.
            if self._last is not None:
                self._add(self._last[0] + step, self._last[1])
        elif self._stepped_until_ns is not None and now >= self._stepped_until_ns:
            self._stepped_until_ns = None

    def _measure_offset(self) -> int:
        """Wall clock minus monotonic clock, nanoseconds."""
        # Of three readings the quickest counts, since the scheduler may suspend the thread between two clock calls.
        readings = []
        for _ in range(3):
            before, wall, after = self._mono_ns(), self._unix_ns(), self._mono_ns()
            readings.append((after - before, wall - (before + after) // 2))
        return min(readings)[1]


class WindowMinimum:
    """The least of the values added in the last 15 to 30 s, kept as the minima of two half windows."""

    def __init__(self) -> None:
        self._began_ns = 0
        self._values: list[int | None] = [None, None]
        """Minimum of the previous half window, and of the one that began at ``_began_ns``."""

    def add(self, now_ns: int, value: int) -> None:
        if (windows := (now_ns - self._began_ns) // HALF_WINDOW_NS) > 0:
            # After a longer silence the previous half window is out of date, too.
            self._values = [self._values[1] if windows == 1 else None, None]
            self._began_ns = now_ns
        last = self._values[1]
        self._values[1] = value if last is None else min(last, value)

    def value(self, default: int) -> int:
        return min((value for value in self._values if value is not None), default=default)
