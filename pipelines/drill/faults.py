"""What the proxy does to RTP packets: lose, swap, damage and date them wrongly. Without sockets and without time.

Each connection has a fault of its own. ``hit`` is called with the RTP time of every access unit that was damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from pipelines.drill.wire import RTP_HEADER_BYTES, rtp_seq, rtp_time, with_rtp_seq, with_rtp_time

Hit = Callable[[int], None]
"""Called with the RTP time of a damaged access unit."""
CLOCK_HZ = 90_000
SENDER_REPORT = 200
SPARED_BYTES = 8
"""Bytes of a payload's headers that stay intact, so that a decoder gets a damaged image and not no image."""
FLIP_EVERY, FLIP = 7, 0x55


class Fault(Protocol):
    """Changes the packets of one connection, in the order of sending."""

    def packet(self, packet: bytes) -> list[bytes]:
        """The RTP packets to send now in place of ``packet``."""
        ...

    def report(self, packet: bytes) -> bytes:
        """The RTCP packet to send in place of ``packet``."""
        ...


FaultMaker = Callable[[Hit], Fault]


class _OnPackets:
    """A fault that leaves RTCP alone."""

    def report(self, packet: bytes) -> bytes:
        return packet


class Loss(_OnPackets):
    """Every ``every``-th packet is missing."""

    def __init__(self, hit: Hit, every: int) -> None:
        self._hit, self._every, self._count = hit, every, 0

    def packet(self, packet: bytes) -> list[bytes]:
        self._count += 1
        if self._count % self._every:
            return [packet]
        self._hit(rtp_time(packet))
        return []


class SilentLoss(_OnPackets):
    """Every ``every``-th access unit is missing without a gap in the sequence numbers, as behind a faulty encoder."""

    def __init__(self, hit: Hit, every: int) -> None:
        self._hit, self._every = hit, every
        self._units = self._missing = 0
        self._time: int | None = None

    def packet(self, packet: bytes) -> list[bytes]:
        if rtp_time(packet) != self._time:
            self._time = rtp_time(packet)
            self._units += 1
        if self._units % self._every:
            return [with_rtp_seq(packet, rtp_seq(packet) - self._missing)]
        self._missing += 1
        self._hit(rtp_time(packet))
        return []


class Reorder(_OnPackets):
    """Every ``every``-th packet comes after the next one."""

    def __init__(self, _hit: Hit, every: int) -> None:
        self._every, self._count = every, 0
        self._held: list[bytes] = []

    def packet(self, packet: bytes) -> list[bytes]:
        self._count += 1
        if self._count % self._every == 0:
            self._held.append(packet)
            return []
        sent, self._held = [packet, *self._held], []
        return sent


class Corruption(_OnPackets):
    """Every ``every``-th packet has flipped bits from the first third of its payload on."""

    def __init__(self, hit: Hit, every: int) -> None:
        self._hit, self._every, self._count = hit, every, 0

    def packet(self, packet: bytes) -> list[bytes]:
        self._count += 1
        if self._count % self._every or len(packet) <= RTP_HEADER_BYTES + SPARED_BYTES:
            return [packet]
        self._hit(rtp_time(packet))
        damaged = bytearray(packet)
        start = RTP_HEADER_BYTES + max((len(packet) - RTP_HEADER_BYTES) // 3, SPARED_BYTES)
        for place in range(start, len(packet), FLIP_EVERY):
            damaged[place] ^= FLIP
        return [bytes(damaged)]


class WrongClock:
    """Packets and sender reports have the time that ``ticks`` makes of the ticks since the first packet."""

    def __init__(self, ticks: Callable[[int], int]) -> None:
        self._ticks = ticks
        self._zero: int | None = None

    def packet(self, packet: bytes) -> list[bytes]:
        return [with_rtp_time(packet, self._wrong(rtp_time(packet)))]

    def report(self, packet: bytes) -> bytes:
        """Bytes 16 to 19 of a sender report are its RTP time (RFC 3550, section 6.4.1)."""
        if len(packet) < 28 or packet[1] != SENDER_REPORT:
            return packet
        wrong = self._wrong(struct.unpack_from("!I", packet, 16)[0])
        return packet[:16] + struct.pack("!I", wrong) + packet[20:]

    def _wrong(self, time: int) -> int:
        if self._zero is None:
            self._zero = time
        # B-frames, and a report of the moment before the first packet, lie before it.
        since = ((time - self._zero + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        return self._zero + self._ticks(since) & 0xFFFF_FFFF


def stands_still(_since: int) -> int:
    """A clock that shows always the same."""
    return 0


def of_rate(share: float) -> Callable[[int], int]:
    """A clock that runs at ``share`` of real time."""
    return lambda since: round(since * share)


def steps_back(by_s: float, every_s: float) -> Callable[[int], int]:
    """A clock that steps back by ``by_s`` every ``every_s``."""
    step, every = round(by_s * CLOCK_HZ), round(every_s * CLOCK_HZ)
    return lambda since: since - step * (since // every)
