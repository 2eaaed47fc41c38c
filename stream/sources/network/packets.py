"""The packets of an open live stream as they arrive; whatever ends them is raised as one of our errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from struct import unpack
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

from stream.core.clock import NS_PER_S
from stream.errors import SourceError
from stream.sources.network import errors
from stream.sources.network.ffmpeg_log import FfmpegLog, LogLine
from stream.sources.network.url import CameraUrl

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

BAD_READS = 10
"""Consecutive reads that may fail on garbage before the connection counts as broken."""


class Arrival(NamedTuple):
    """One packet as it was read."""

    packet: Packet[VideoStream]
    log_lines: list[LogLine]
    """FFmpeg's log lines from reading it."""
    waited_ns: int
    """Time spent waiting for it, nanoseconds; nearly 0 for a packet that was already in a buffer."""


class LivePackets:
    """The packets of ``stream``; the container's read time-out must be ``stall_s``."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, url: CameraUrl, log: FfmpegLog, stall_s: float
    ) -> None:
        self._container, self._stream, self._url, self._log, self._stall_s = container, stream, url, log, stall_s
        self._packets = container.demux(stream)
        self._bad_reads = 0

    def arrivals(self, stopping: threading.Event) -> Iterator[Arrival]:
        """Yield packets until the stream ends, or at most ``stall_s`` after ``stopping`` was set.

        Raises SourceStalled when no packet came for ``stall_s``, AccessDenied or SourceError when the connection broke.
        """
        while not stopping.is_set():
            started_ns = monotonic_ns()
            packet, log_lines = self._next()
            waited_ns = monotonic_ns() - started_ns
            if stopping.is_set():
                return
            # On a time-out FFmpeg first returns the image that it held back, and reports the time-out only after that
            if waited_ns >= self._stall_s * NS_PER_S:
                raise errors.stalled(self._url, waited_ns / NS_PER_S, self._stall_s)
            if isinstance(packet, SourceError):
                raise packet  # outside of any handler: an exception of FFmpeg as its context would hold the URL
            # FFmpeg reports a killed camera, FIN and TEARDOWN alike: as the end of a file.
            if packet is None:
                return
            if packet.size:  # the decoder would take an empty packet for the end of the stream
                yield Arrival(packet, log_lines, waited_ns)

    def _next(self) -> tuple[Packet[VideoStream] | SourceError | None, list[LogLine]]:
        """The next packet, None at the end, or the error that ended the stream, with FFmpeg's lines; skips garbage."""
        import av

        started_ns = monotonic_ns()
        while True:
            try:
                with self._log.capture() as log_lines:
                    packet = next(self._packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self._bad_reads += 1
                if not isinstance(error, av.error.InvalidDataError) or self._bad_reads > BAD_READS:
                    waited_s = (monotonic_ns() - started_ns) / NS_PER_S
                    return errors.on_reading(error, self._url, waited_s, self._stall_s), []
                self._packets = self._container.demux(self._stream)  # a generator that has raised is over
            else:
                self._bad_reads = 0
                return packet, log_lines


def camera_time_us(packet: Packet[VideoStream]) -> int | None:
    """The camera's own clock for this image, microseconds since 1970; None before its first RTCP sender report."""
    # The container's start_time_realtime plus the packet's time was off by 230 ms; this was within 5 ms.
    for data in packet.iter_sidedata():
        if data.data_type == "prft":
            microseconds: int = unpack("<qi", bytes(data)[:12])[0]  # int64 wallclock, int flags, padding
            return microseconds
    return None
