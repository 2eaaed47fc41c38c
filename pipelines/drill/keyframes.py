"""Finds the key frames in a camera's RTP packets, to know how long a viewer may have to wait for one."""

from __future__ import annotations

import re
from collections.abc import Callable

from pipelines.drill.faults import CLOCK_HZ
from pipelines.drill.wire import RTP_HEADER_BYTES, rtp_time

_CODEC = re.compile(rb"^a=rtpmap:\d+ (H26[45])/", re.I | re.M)
LONGEST_S = 60.0
"""A longer step of the RTP time is another connection's."""


class KeyFrames:
    """The longest interval between two key frames, from the descriptions and packets of one camera."""

    def __init__(self) -> None:
        self.longest_s: float | None = None
        """Seconds; 0 if every image is one, None while unknown."""
        self._is_key: Callable[[bytes], bool] | None = None
        self._last: int | None = None

    def describe(self, message: bytes) -> None:
        """Learn the codec from the answer to DESCRIBE; other messages are ignored."""
        if b"m=video" not in message:
            return
        found = _CODEC.search(message)
        self._is_key = {b"H264": _is_h264_key, b"H265": _is_h265_key}.get(found[1].upper()) if found else None
        if self._is_key is None:
            self.longest_s = 0.0

    def packet(self, packet: bytes) -> None:
        """Take note of one RTP packet."""
        payload = packet[RTP_HEADER_BYTES + 4 * (packet[0] & 0x0F) :]
        if self._is_key is None or len(payload) < 4 or packet[0] & 0x10 or not self._is_key(payload):
            return
        ticks = rtp_time(packet)
        if self._last is not None and 0 < (step_s := (ticks - self._last & 0xFFFFFFFF) / CLOCK_HZ) < LONGEST_S:
            self.longest_s = max(self.longest_s or 0.0, step_s)
        self._last = ticks


def _is_h264_key(payload: bytes) -> bool:
    """An IDR slice or a parameter set, alone, first of an aggregate (24) or the first of a fragment (28)."""
    kind = payload[0] & 0x1F
    if kind == 24:
        kind = payload[3] & 0x1F
    elif kind == 28:
        kind = payload[1] & 0x1F if payload[1] & 0x80 else 0
    return kind in (5, 7)


def _is_h265_key(payload: bytes) -> bool:
    """A random access slice (16 to 21) or a video parameter set, alone, in an aggregate (48) or a fragment (49)."""
    kind = payload[0] >> 1 & 0x3F
    if kind == 48:
        kind = payload[4] >> 1 & 0x3F if len(payload) > 4 else 0
    elif kind == 49:
        kind = payload[2] & 0x3F if payload[2] & 0x80 else 0
    return 16 <= kind <= 21 or kind == 32
