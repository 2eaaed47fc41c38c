"""How old a frame is, although the clocks of two machines may differ: the whole rule, in one place.

A message says when its image was captured (C) and when it was sent (P), by the publisher's clock; P - C is right
whatever that clock shows, because the publisher measures it with a monotonic one. What is left is the time since P:

    age = (P - C) + late        late: the way here, and the time that the message waited to be read

By our own clock (U) that time is D = U - P, if both clocks show the same time. Nobody can know that they do, only, now
and then, that they do not: no message arrives before it was sent. So, with D0, the least D of the last seconds:

    same      -5 ms <= D0 <= 1 s     late = D. A clock of ours that is ahead makes frames look older, never younger.
    ahead     D0 > 1 s               late = D as well: it could be a way that takes so long. Frames are refused, and the
                                     reason names both possibilities.
    behind    D0 < -5 ms             late = (D - D0) + W: later than the quickest message of the last seconds, which was
                                     itself at most W late. W is the shortest time that any message of these seconds
                                     can have waited here, because the socket had been found empty that long ago.
    camera    the flag RTCP is set   late as for "behind": the times are by the camera's clock, which may be seconds off
                                     on one and the same machine.
    unknown   only one message yet   the later of both: it may have waited since before we looked.
    stepped   our wall clock was     the later of both, until the last seconds hold nothing from before the step.
              set

"The last seconds" are 15 to 30, so that clocks which drift apart by 100 ppm add 3 ms at most. Under "behind" and
"camera" the least time that the network needs is not seen (neither is it by NTP); a stream that was slow for more than
30 s without one quick message would look younger than it is, by that much.

Our clock is the wall clock at the opening, carried on by CLOCK_BOOTTIME, which goes on while a computer is suspended:
an old frame does not pass for a new one after that. A step of the wall clock is noticed, and what was learnt before it
is forgotten.
"""

from __future__ import annotations

import time
from typing import Literal

from stream.core.clock import NS_PER_MS, NowNs
from stream.wire.codes import Flags
from stream.wire.header import Header

HALF_WINDOW_NS = 15_000 * NS_PER_MS
SAME_FROM_NS, SAME_TO_NS = -5 * NS_PER_MS, 1_000 * NS_PER_MS
"""Clocks kept by NTP in one network differ by less than 5 ms; so much is not called a difference."""
STEP_NS = 20 * NS_PER_MS
"""Less is how far two readings of two clocks may lie apart on a busy machine."""

Clocks = Literal["unknown", "same", "ahead", "behind", "camera", "stepped"]
"""This machine's clock, seen from the publisher's."""


def boottime_ns() -> int:
    """Monotonic, and goes on while the computer is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Least:
    """The least of the values of the last 15 to 30 s."""

    def __init__(self) -> None:
        self._began_ns = 0
        self._values: list[int | None] = [None, None]
        """Of the window before, and of the one that began at ``_began_ns``."""

    def add(self, now_ns: int, value: int) -> None:
        if (windows := (now_ns - self._began_ns) // HALF_WINDOW_NS) > 0:
            self._values = [self._values[1] if windows == 1 else None, None]
            self._began_ns = now_ns
        last = self._values[1]
        self._values[1] = value if last is None else min(last, value)

    def value(self, default: int) -> int:
        return min((value for value in self._values if value is not None), default=default)


class AgeClock:
    """The ages of one stream's messages. ``received`` for each of them, in the order of their arrival."""

    def __init__(self, mono_ns: NowNs = boottime_ns, unix_ns: NowNs = time.time_ns) -> None:
        self._mono_ns, self._unix_ns = mono_ns, unix_ns
        self._offset_ns = self._measure_offset()
        self._stepped_until_ns: int | None = None
        self._last: tuple[int, int] | None = None
        """D and W of the newest message."""
        self._messages = 0
        self._by_camera = False
        self._forget()

    def received(self, header: Header, empty_ns: int) -> None:
        """``empty_ns``: when, on the monotonic clock, this message was certainly not yet here."""
        self._notice_step()
        by_camera = Flags.RTCP in header.flags
        if by_camera != self._by_camera:
            self._by_camera, self._messages = by_camera, 0
            self._forget()
        self._messages += 1
        self._add(self._since_publish_ns(header), self._mono_ns() - empty_ns)

    def restarted(self) -> None:
        """Another publisher, maybe on another machine: nothing that was learnt holds."""
        self._last, self._messages = None, 0
        self._forget()

    def age_ns(self, header: Header) -> int:
        """Now, since capture; of the newest message, or of one of the last few."""
        self._notice_step()
        return max(0, header.publish_ns - header.capture_ns) + max(0, self._late_ns(header))

    def silent_ns(self, header: Header) -> int:
        """How long ago, at most, the quickest way would have brought this message."""
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
        """D0: how far our clock is ahead at most, if it is (then the way here is in it); negative: behind at least."""
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

    def _forget(self) -> None:
        self._least_late, self._least_waited = Least(), Least()

    def _notice_step(self) -> None:
        now, offset = self._mono_ns(), self._measure_offset()
        step = offset - self._offset_ns
        if abs(step) > STEP_NS:
            self._offset_ns, self._stepped_until_ns = offset, now + 2 * HALF_WINDOW_NS
            self._forget()
            if self._last is not None:
                self._add(self._last[0] + step, self._last[1])
        elif self._stepped_until_ns is not None and now >= self._stepped_until_ns:
            self._stepped_until_ns = None

    def _measure_offset(self) -> int:
        """Wall minus monotonic clock; of three readings the one that took least, since a thread may be put aside."""
        readings = []
        for _ in range(3):
            before, wall, after = self._mono_ns(), self._unix_ns(), self._mono_ns()
            readings.append((after - before, wall - (before + after) // 2))
        return min(readings)[1]
