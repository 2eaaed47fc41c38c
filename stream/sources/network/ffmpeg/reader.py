"""Reads a stream with FFmpeg: everything but RTSP with H.264, H.265 or JPEG, and MJPEG over HTTP.

FFmpeg gives no arrival times and completes an image of some formats only when the next one begins; the time that it
held an image back is known from the packets between, and taken off.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from struct import unpack
from time import monotonic_ns
from typing import TYPE_CHECKING

from stream.core.clock import NS_PER_S
from stream.frames import Size
from stream.settings import NetworkCamera
from stream.sources.network import errors
from stream.sources.network.access_unit import AccessUnit, TimeLine
from stream.sources.network.ffmpeg.connection import connect, video_stream
from stream.sources.network.ffmpeg_log import FfmpegLog, LogLine
from stream.sources.network.url import CameraUrl

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

BAD_READS = 10
"""Consecutive reads that may fail on garbage before the connection counts as broken."""
LOSS = re.compile(r"missed -?\d+ packets|bad cseq|received too late", re.I)
"""Lines of FFmpeg's RTP reader about lost packets."""
RTP_FORMATS = ("rtsp", "rtp", "sdp")
TIMED_FORMATS = ("mpegts", "mpeg", "flv", "live_flv", "matroska", "mov", "asf", "nut", "ogg")
"""Formats with time stamps of their own; for others, FFmpeg makes them up from the frame rate."""
SEGMENTED_FORMATS = ("hls", "dash")
PARSED_CODECS = ("h264", "hevc", "mpeg2video", "mpeg4", "vvc")
HELD = {"mpegts": 2, "hls": 2, "rtsp": 1, "rtp": 1, "sdp": 1, "h264": 1, "hevc": 1}
"""Access units that FFmpeg has begun to read when it returns one of ``PARSED_CODECS``: the parser waits for the next
one, and MPEG-TS, whose video packets state no length, for one more."""


class FfmpegReader:
    """A ``stream.sources.network.access_unit.Reader`` over an FFmpeg container.

    ``interrupt`` cannot wake FFmpeg: ``items`` then ends with the next packet, or when ``stall_s`` has passed.
    """

    def __init__(self, settings: NetworkCamera, url: CameraUrl, log: FfmpegLog) -> None:
        self._url, self._log, self._stall_s = url, log, settings.stall_s
        self._container = connect(settings, url, log)
        try:
            self._stream: VideoStream = video_stream(self._container, url)
        except BaseException:
            self._container.close()
            raise
        stream, names = self._stream, self._container.format.name.split(",")
        self.context: VideoCodecContext = stream.codec_context
        """The decoder that FFmpeg prepared for the stream."""
        self.codec, self.extradata = self.context.name, self.context.extradata or b""
        self.is_recording = self._container.duration is not None or url.scheme == "lavfi"
        self.time_line: TimeLine = _time_line(names)
        self.size = Size(stream.height, stream.width) if stream.height and stream.width else None
        self.stated_fps = float(stream.average_rate or stream.guessed_rate or 0)
        held = max((HELD.get(name, 0) for name in names), default=0) if self.codec in PARSED_CODECS else 0
        self._returned_ns: deque[int] = deque(maxlen=held + 1)
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._is_rtp = self.time_line == "rtp"
        self._interrupted = threading.Event()
        self._was_lost = False

    def items(self) -> Iterator[AccessUnit]:
        packets, bad_reads = self._container.demux(self._stream), 0
        while not self._interrupted.is_set():
            started_ns = monotonic_ns()
            packet, lines, error = self._next(packets)
            waited_s = (monotonic_ns() - started_ns) / NS_PER_S
            if self._interrupted.is_set():
                return
            # On a time-out FFmpeg first returns the image that it held back, and reports the time-out only after that.
            if waited_s >= self._stall_s:
                raise errors.stalled(self._url, waited_s, self._stall_s)
            if error is not None:
                bad_reads += 1
                if not _is_garbage(error) or bad_reads > BAD_READS:
                    raise errors.on_reading(error, self._url, waited_s, self._stall_s)
                packets = self._container.demux(self._stream)  # a generator that has raised is over
                continue
            bad_reads = 0
            # FFmpeg reports a killed camera, FIN and TEARDOWN alike: as the end of a file.
            if packet is None:
                return
            if packet.size:  # the decoder would take an empty packet for the end of the stream
                yield self._unit(packet, lines)

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        """Only from the reading thread: closing under a reader crashes FFmpeg."""
        self._container.close()

    def _next(
        self, packets: Iterator[Packet[VideoStream]]
    ) -> tuple[Packet[VideoStream] | None, list[LogLine], Exception | None]:
        import av

        try:
            with self._log.capture() as lines:
                return next(packets, None), lines, None
        except (av.error.FFmpegError, OSError) as error:
            # Returned, because raising ours inside of this handler would give it a context that holds the URL.
            return None, [], error

    def _unit(self, packet: Packet[VideoStream], lines: list[LogLine]) -> AccessUnit:
        now_ns = monotonic_ns()
        self._returned_ns.append(now_ns)
        first_ns = self._returned_ns[0]
        media_s = None if packet.pts is None else float(packet.pts * self._time_base)
        lost = packet.is_corrupt or any(LOSS.search(line.text) for line in lines)
        # MPEG-TS marks the image before the one that was hit (FFmpeg 8.1: 148 of 148 times).
        was_lost, self._was_lost = self._was_lost, lost
        lost = lost or was_lost
        return AccessUnit(
            bytes(packet) if self.codec == "h264" else b"",
            packet.is_keyframe,
            first_ns,
            now_ns,
            media_s if self.time_line != "none" or self.is_recording else None,
            _camera_ns(packet) if self._is_rtp else None,
            # FFmpeg does not say whether the loss was in this image or before it.
            "inside" if lost else "",
            packet,
        )


def _time_line(names: list[str]) -> TimeLine:
    if any(name in RTP_FORMATS for name in names):
        return "rtp"
    if any(name in SEGMENTED_FORMATS for name in names):
        return "segments"
    return "container" if any(name in TIMED_FORMATS for name in names) else "none"


def _is_garbage(error: Exception) -> bool:
    import av

    return isinstance(error, av.error.InvalidDataError)


def _camera_ns(packet: Packet[VideoStream]) -> int | None:
    """The camera's own clock for this image, nanoseconds since 1970; None before its first RTCP sender report."""
    # The container's start_time_realtime plus the packet's time was off by 230 ms; this was within 5 ms.
    for data in packet.iter_sidedata():
        if data.data_type == "prft":
            microseconds: int = unpack("<qi", bytes(data)[:12])[0]  # int64 wallclock, int flags, padding
            return microseconds * 1000
    return None
