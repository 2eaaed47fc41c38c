"""Takes a camera's byte stream apart: RTSP messages and interleaved packets (RFC 2326, 10.12), or anything else.

It is tolerant where a client must not be: what it does not understand is passed on as it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_MESSAGE_BYTES = 256 * 1024
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,6})[ \t]*\r?$", re.I | re.M)
RTP_HEADER_BYTES = 12


class Piece(NamedTuple):
    """One RTSP message, one interleaved packet, or bytes of an unknown kind."""

    data: bytes
    """The message; or the packet without the four bytes in front of it."""
    channel: int | None = None
    """The packet's channel; None for a message and unknown bytes."""

    @property
    def is_rtp(self) -> bool:
        """Media packets have even channels, RTCP the odd ones behind them."""
        return self.channel is not None and self.channel % 2 == 0 and len(self.data) >= RTP_HEADER_BYTES

    @property
    def is_rtcp(self) -> bool:
        return self.channel is not None and self.channel % 2 == 1

    @property
    def bytes(self) -> bytes:
        """As on the wire."""
        if self.channel is None:
            return self.data
        return struct.pack("!cBH", b"$", self.channel, len(self.data)) + self.data


class Splitter:
    """Cuts received bytes into pieces; without ``is_rtsp`` they stay as they came."""

    def __init__(self, *, is_rtsp: bool) -> None:
        self._is_rtsp = is_rtsp
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that ``data`` completes."""
        if not self._is_rtsp:
            yield Piece(data)
            return
        self._waiting += data
        while self._waiting and (piece := self._first()) is not None:
            yield piece

    def _first(self) -> Piece | None:
        waiting = self._waiting
        if waiting[0] != ord("$"):
            end = self._end_of_message()
            return self._taken(end, Piece(bytes(waiting[:end]))) if end else None
        if len(waiting) < 4:
            return None
        channel, length = struct.unpack_from("!BH", waiting, 1)
        if len(waiting) < 4 + length:
            return None
        return self._taken(4 + length, Piece(bytes(waiting[4 : 4 + length]), channel))

    def _taken(self, length: int, piece: Piece) -> Piece:
        del self._waiting[:length]
        return piece

    def _end_of_message(self) -> int | None:
        """Length of the message at the front, its body included; None while it is incomplete."""
        end = self._waiting.find(b"\r\n\r\n")
        if end < 0:
            return len(self._waiting) if len(self._waiting) > LONGEST_MESSAGE_BYTES else None
        length = _LENGTH.search(bytes(self._waiting[:end]))
        end += 4 + (int(length[1]) if length else 0)
        return end if end <= len(self._waiting) else None


def rtp_time(packet: bytes) -> int:
    """The time stamp of an RTP packet, ticks."""
    time: int = struct.unpack_from("!I", packet, 4)[0]
    return time


def rtp_seq(packet: bytes) -> int:
    """The sequence number of an RTP packet."""
    seq: int = struct.unpack_from("!H", packet, 2)[0]
    return seq


def with_rtp_time(packet: bytes, ticks: int) -> bytes:
    return packet[:4] + struct.pack("!I", ticks & 0xFFFFFFFF) + packet[8:]


def with_rtp_seq(packet: bytes, seq: int) -> bytes:
    return packet[:2] + struct.pack("!H", seq & 0xFFFF) + packet[4:]
