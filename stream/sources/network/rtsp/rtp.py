"""RTP packets (RFC 3550, section 5): in order, each once, without padding and extensions; losses are counted."""

from __future__ import annotations

import struct
from typing import NamedTuple, Protocol

from stream.core.clock import NS_PER_MS, NS_PER_S
from stream.sources.network.rtsp.media_clock import MediaClock
from stream.sources.network.rtsp.rtcp import Reception, SenderReport

HEADER = struct.Struct("!BBHII")
PLAIN = 0x80
"""First byte of a packet of version 2 without padding, extension and contributing sources."""
HALF, WHOLE = 0x8000, 0x10000
LARGEST_GAP = 3000
LARGEST_DELAY = 100
"""Packets. A number further ahead or behind is a new beginning if the next packet follows it (RFC 3550, A.1)."""
HELD_PACKETS = 32
HELD_NS = 40 * NS_PER_MS
"""How many packets behind a gap wait for the missing one, and how long: networks that change the order do so within
milliseconds, and a real loss should not make an image late."""


class Sink(Protocol):
    """The receiver of payloads in order."""

    def packet(self, payload: memoryview, ticks: int, marked: int, lost: bool, arrived_ns: int) -> None: ...
    def restart(self) -> None: ...


class _Held(NamedTuple):
    data: bytes
    arrived_ns: int


class RtpReceiver:
    """Takes the packets of one track; calls ``sink.packet`` with each payload in order."""

    def __init__(self, payload_type: int, clock: MediaClock, sink: Sink, *, reorders: bool) -> None:
        """``reorders``: packets may arrive in another order, as over UDP."""
        self._payload_type, self._clock, self._sink, self._reorders = payload_type, clock, sink, reorders
        self._ssrc: int | None = None
        self._expected = 0
        self._stamp: int | None = None
        self._ticks = 0
        self._lost_since = False
        self._candidate: tuple[int, int, _Held] | None = None
        """SSRC and number that the packet after this one would have, if a new stream began."""
        self._held: dict[int, _Held] = {}
        self._held_since_ns = 0
        self.received = self.lost = 0
        """Packets of the current stream."""
        self._first = 0
        self._report: tuple[SenderReport, int] | None = None
        self._counted = (0, 0)

    def packet(self, data: memoryview, arrived_ns: int) -> None:
        """Take one packet; ``arrived_ns``: CLOCK_MONOTONIC. What is not RTP is left out."""
        if len(data) < HEADER.size:
            return
        first, second, number, stamp, ssrc = HEADER.unpack_from(data)
        if number == self._expected and ssrc == self._ssrc and first == PLAIN:
            self._take(data[12:], second, stamp, number, arrived_ns)
            if self._held:
                self._release()
        elif first >> 6 == 2:
            self._unusual(data, number, ssrc, arrived_ns)

    def give_up(self, now_ns: int) -> None:
        """Go on behind a gap whose packet has not come in time."""
        while self._held and now_ns - self._held_since_ns >= HELD_NS:
            self._skip_gap()

    @property
    def held_until_ns(self) -> int | None:
        """When to call ``give_up``; None while nothing is held."""
        return self._held_since_ns + HELD_NS if self._held else None

    @property
    def last_media_s(self) -> float | None:
        """Media time of the last packet; None before the first."""
        return None if self._stamp is None else self._clock.media_s(self._ticks)

    def reported(self, report: SenderReport, arrived_ns: int) -> bool:
        """Remember a sender report for our own; False if it is about another stream."""
        if self._ssrc is not None and report.ssrc != self._ssrc:
            return False
        self._report = report, arrived_ns
        return True

    def reception(self, now_ns: int) -> Reception | None:
        """What to report to the camera; None before its first packet."""
        if self._ssrc is None:
            return None
        received, lost = self.received - self._counted[0], self.lost - self._counted[1]
        self._counted = self.received, self.lost
        fraction = lost * 256 // (received + lost) if received + lost else 0
        last_report = since = 0
        if self._report is not None:
            report, arrived_ns = self._report
            last_report, since = report.ntp >> 16 & 0xFFFFFFFF, (now_ns - arrived_ns) * 65536 // NS_PER_S
        highest = self._first + self.received + self.lost - 1
        return Reception(self._ssrc, min(fraction, 255), self.lost, highest, last_report, since)

    def _take(self, payload: memoryview, second: int, stamp: int, number: int, arrived_ns: int) -> None:
        self._expected = (number + 1) & 0xFFFF
        self.received += 1
        if second & 0x7F != self._payload_type:
            return
        if stamp != self._stamp:
            self._stamp = stamp
            self._ticks = self._clock.unwrap(stamp)
        lost, self._lost_since = self._lost_since, False
        self._sink.packet(payload, self._ticks, second & 0x80, lost, arrived_ns)

    def _take_any(self, data: memoryview, arrived_ns: int) -> None:
        first, second, number, stamp, _ = HEADER.unpack_from(data)
        payload = _payload(data, first)
        if payload is None:  # it counts as lost: its number must not be used up in silence
            self._expected = (number + 1) & 0xFFFF
            self._lose(1)
        else:
            self._take(payload, second, stamp, number, arrived_ns)

    def _lose(self, count: int) -> None:
        self.lost += count
        self._lost_since = True

    def _unusual(self, data: memoryview, number: int, ssrc: int, arrived_ns: int) -> None:
        if self._ssrc is None:
            self._begin(number, ssrc)
        if ssrc != self._ssrc:
            self._stranger(data, number, ssrc, arrived_ns)
            return
        ahead = (number - self._expected) & 0xFFFF
        if ahead == 0:
            self._take_any(data, arrived_ns)
            self._release()
        elif ahead <= LARGEST_GAP:
            self._after_gap(data, number, ahead, arrived_ns)
        elif ahead < WHOLE - LARGEST_DELAY:
            self._stranger(data, number, ssrc, arrived_ns)
        # else it is late or a duplicate

    def _after_gap(self, data: memoryview, number: int, ahead: int, arrived_ns: int) -> None:
        if not self._reorders:
            self._lose(ahead)
            self._take_any(data, arrived_ns)
            return
        if not self._held:
            self._held_since_ns = arrived_ns
        self._held.setdefault(number, _Held(bytes(data), arrived_ns))
        if len(self._held) > HELD_PACKETS:
            self._skip_gap()

    def _skip_gap(self) -> None:
        """Count what is missing before the first held packet as lost, and go on with that one."""
        nearest = min(self._held, key=lambda number: (number - self._expected) & 0xFFFF)
        self._lose((nearest - self._expected) & 0xFFFF)
        self._expected = nearest
        self._release()

    def _release(self) -> None:
        """Take the held packets that follow without a gap."""
        while (held := self._held.pop(self._expected, None)) is not None:
            self._take_any(memoryview(held.data), held.arrived_ns)
        if self._held:  # another gap, whose time begins with the first packet behind it
            self._held_since_ns = min(held.arrived_ns for held in self._held.values())

    def _stranger(self, data: memoryview, number: int, ssrc: int, arrived_ns: int) -> None:
        """A packet of another stream, or with a number far away: two in a row are a new beginning."""
        held, expected = _Held(bytes(data), arrived_ns), (number + 1) & 0xFFFF
        candidate, self._candidate = self._candidate, (ssrc, expected, held)
        if candidate is None or candidate[:2] != (ssrc, number):
            return
        self._candidate = None
        before = candidate[2]
        self._begin((number - 1) & 0xFFFF, ssrc)
        self._take_any(memoryview(before.data), before.arrived_ns)
        self._take_any(memoryview(held.data), arrived_ns)

    def _begin(self, number: int, ssrc: int) -> None:
        if self._ssrc is not None:
            self._sink.restart()
        reported = self._ssrc if self._report is None else self._report[0].ssrc
        if reported is not None and reported != ssrc:
            self._clock.restart()
            self._report = None
        self._ssrc, self._expected, self._first = ssrc, number, number
        self._stamp = None
        self._held.clear()
        self._lost_since = False
        self.received = self.lost = 0
        self._counted = (0, 0)


def _payload(data: memoryview, first: int) -> memoryview | None:
    """The payload between contributing sources, header extension and padding; None if their lengths make no sense."""
    start, stop = 12 + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if stop < start + 4:
            return None
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
    if first & 0x20:
        padding = data[-1]
        stop -= padding
        if padding == 0:
            return None
    return data[start:stop] if start <= stop else None
