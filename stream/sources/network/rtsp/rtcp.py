"""RTCP packets (RFC 3550, section 6): the camera's reports about its clock, and ours about what arrives."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from stream.core.clock import NS_PER_S

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION = 200, 201, 202
NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900 to 1970."""
NTP_ERA_S = 1 << 32
CNAME = b"depthstream"


class SenderReport(NamedTuple):
    """The same moment on two clocks of the camera."""

    ssrc: int
    ntp: int
    """Seconds since 1900, 32 bits and 32 bits of fraction."""
    rtp_time: int

    @property
    def camera_ns(self) -> int:
        """Nanoseconds since 1970."""
        seconds, fraction = self.ntp >> 32, self.ntp & 0xFFFFFFFF
        if seconds < NTP_EPOCH_S:  # the count began anew in 2036; a clock that counts from 1970 looks like that, too
            seconds += NTP_ERA_S
        return (seconds - NTP_EPOCH_S) * NS_PER_S + (fraction * NS_PER_S >> 32)


def sender_reports(data: memoryview) -> Iterator[SenderReport]:
    """The sender reports in one compound packet; what makes no sense ends it."""
    at = 0
    while at + 8 <= len(data):
        first, kind, words = struct.unpack_from("!BBH", data, at)
        if first >> 6 != 2:
            return
        if kind == SENDER_REPORT and words >= 6 and at + 28 <= len(data):
            ssrc, ntp, rtp_time = struct.unpack_from("!IQI", data, at + 4)
            if ntp:  # 0: the camera has no clock (section 6.4.1)
                yield SenderReport(ssrc, ntp, rtp_time)
        at += 4 + 4 * words


class Reception(NamedTuple):
    """What a receiver report says of the camera's stream."""

    ssrc: int
    fraction_lost: int
    """Of the packets since the last report, in 1/256."""
    lost: int
    highest_sequence: int
    """With the number of wrap-arounds in the upper 16 bits."""
    last_report: int
    """The middle 32 bits of the last sender report's NTP time; 0 before the first."""
    since_report: int
    """Time since its arrival, in 1/65536 s."""


def receiver_report(own_ssrc: int, reception: Reception | None) -> bytes:
    """A compound packet of a receiver report and our name; jitter is not measured."""
    blocks = b""
    if reception is not None:
        lost = reception.fraction_lost << 24 | min(max(reception.lost, 0), 0x7FFFFF)
        highest = reception.highest_sequence & 0xFFFFFFFF
        blocks = struct.pack(
            "!IIIIII", reception.ssrc, lost, highest, 0, reception.last_report, reception.since_report & 0xFFFFFFFF
        )
    report = struct.pack("!BBHI", 0x80 | bool(blocks), RECEIVER_REPORT, 1 + len(blocks) // 4, own_ssrc) + blocks
    item = bytes((1, len(CNAME))) + CNAME
    item += bytes(4 - len(item) % 4)
    return report + struct.pack("!BBHI", 0x81, SOURCE_DESCRIPTION, 1 + len(item) // 4, own_ssrc) + item
