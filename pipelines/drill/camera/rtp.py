"""RTP and RTCP packets as bytes (RFC 3550), and the camera's clock, without sockets."""

from __future__ import annotations

import secrets
import struct
import time
from dataclasses import dataclass

from pipelines.drill.camera.rtp_clock import RtpClock

CLOCK_HZ = 90_000
"""Ticks a second of video."""
NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900 to 1970."""
SENDER_REPORT, SOURCE_DESCRIPTION = 200, 202
CNAME = b"camera"


@dataclass
class CameraClock:
    """The wall clock of the camera, which may be wrong and may jump."""

    offset_s: float = 0.0
    """Seconds that it is ahead of this machine's clock."""
    jumps: int = 0

    def jump(self, seconds: float) -> None:
        self.offset_s += seconds
        self.jumps += 1

    def unix_s(self, mono_s: float) -> float:
        """What the camera's clock showed at ``mono_s`` of the monotonic clock."""
        return time.time() - (time.monotonic() - mono_s) + self.offset_s


class RtpStream:
    """Sequence numbers, times and counts of one session, with random starts as RFC 3550 requires."""

    def __init__(self, payload_type: int, clock: RtpClock | None = None, rate_hz: int = CLOCK_HZ) -> None:
        self._payload_type, self._clock, self._rate_hz = payload_type, clock or RtpClock(), rate_hz
        self._ssrc, self._zero = secrets.randbits(32), secrets.randbits(32)
        self.next_seq = secrets.randbits(16)
        self._packets = self._octets = 0

    def ticks(self, mono_s: float) -> int:
        """The RTP time of a monotonic time."""
        return self._zero + round(self._clock.media_s(mono_s) * self._rate_hz) & 0xFFFFFFFF

    def packet(self, payload: bytes, mono_s: float, *, last: bool) -> bytes:
        """One RTP packet; ``last`` marks the end of an access unit."""
        seq = self.skip()
        self._packets = self._packets + 1 & 0xFFFFFFFF
        self._octets = self._octets + len(payload) & 0xFFFFFFFF
        kind = last << 7 | self._payload_type
        return struct.pack("!BBHII", 0x80, kind, seq, self.ticks(mono_s), self._ssrc) + payload

    def skip(self) -> int:
        """Use up one sequence number, as for a packet that gets lost."""
        seq = self.next_seq
        self.next_seq = seq + 1 & 0xFFFF
        return seq

    def report(self, mono_s: float, unix_s: float) -> bytes:
        """A sender report (section 6.4.1): the RTP time of ``mono_s`` belongs to ``unix_s`` of the camera's clock."""
        seconds, fraction = divmod(unix_s + NTP_EPOCH_S, 1)
        times = (int(seconds) & 0xFFFFFFFF, int(fraction * 2**32), self.ticks(mono_s))
        sender = struct.pack("!BBHIIIIII", 0x80, SENDER_REPORT, 6, self._ssrc, *times, self._packets, self._octets)
        # One chunk: SSRC, item 1 (CNAME) with its length, padded with zeros to a multiple of four bytes.
        item = bytes([1, len(CNAME)]) + CNAME
        item += bytes(4 - len(item) % 4)
        return sender + struct.pack("!BBHI", 0x81, SOURCE_DESCRIPTION, 1 + len(item) // 4, self._ssrc) + item
