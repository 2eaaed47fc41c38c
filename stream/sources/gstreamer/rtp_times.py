"""Remembers the camera's own time of each image, which GStreamer's depayloaders throw away: RTP's time stamps."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict

from stream.core.clock import NS_PER_S

HEADER_BYTES = 12
"""The fixed part of RTP's header (RFC 3550, 5.1)."""
REMEMBERED = 256
"""Images between a depayloader and the end of the pipeline; jitter buffers come before it."""
_TIME = struct.Struct(">4xI")
_WRAP = 1 << 32


class RtpTimes:
    """The camera's clock for the images of one pipeline: a streaming thread reports packets, another asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: OrderedDict[int, int] = OrderedDict()
        self._ticks: int | None = None

    def packet(self, pts: int, header: bytes, clock_hz: int) -> None:
        """One packet of the video track; ``pts``: GStreamer's time of it. What is no RTP is ignored."""
        if len(header) < HEADER_BYTES or clock_hz <= 0:
            return
        (ticks,) = _TIME.unpack_from(header)
        with self._lock:
            self._ticks = ticks = self._unwrapped(ticks)
            # The first one stays: after a pause, the jitter buffer may give several images the same time.
            self._times.setdefault(pts, ticks * NS_PER_S // clock_hz)
            while len(self._times) > REMEMBERED:
                self._times.popitem(last=False)

    def media_ns(self, pts: int | None) -> int | None:
        """The camera's time of the image with this ``pts``, nanoseconds from an unknown start; None if unknown."""
        with self._lock:
            return None if pts is None else self._times.get(pts)

    def _unwrapped(self, ticks: int) -> int:
        if self._ticks is None:
            return ticks
        step = (ticks - self._ticks + _WRAP // 2) % _WRAP - _WRAP // 2
        return self._ticks + step
