"""One connection to a live stream, read by one thread from its first fresh image to its end or its error."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from time import monotonic_ns
from typing import NamedTuple

from stream.core.clock import NS_PER_S, Pacer, Stamp
from stream.frames import Image, Integrity, Size
from stream.settings import NetworkCamera
from stream.sources.network import errors
from stream.sources.network.capture_clock import CaptureClock
from stream.sources.network.connection import RTP_SCHEMES, connect, video_stream
from stream.sources.network.decoder import CheckedFrame, LiveDecoder
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.packets import LivePackets, camera_time_us
from stream.sources.network.url import CameraUrl
from stream.sources.pixels.bgr import BgrConverter

FRESH_AFTER_S = 0.005
"""A packet that took this long to arrive did not come out of a buffer."""
PACED_PACKETS = 3
"""With a time line, this many packets must come at half their media pace or slower to count as fresh: on a busy
machine a single buffered packet takes long, too."""
CATCH_UP_NS = 2 * NS_PER_S
"""The longest time to skip buffered images: a machine that decodes slower than the camera sends never catches up."""
# fflags=noparse does not help: the decoder then refuses the packets.
HELD_BY_PARSER = ("h264", "hevc")
"""Codecs whose images, over RTP, FFmpeg knows to be complete only when the next one begins."""
RATE_IMAGES = 50
"""The frame rate is measured over this many images."""
RATE_AT_LEAST = 10
"""With fewer images the rate that the camera states is reported."""


class DecodedImage(NamedTuple):
    """One image with its stamp and integrity."""

    image: Image
    """(H, W, 3) uint8 BGR, contiguous, read-only."""
    stamp: Stamp
    integrity: Integrity


class LiveSession:
    """An open connection, for one thread at a time.

    The thread that reads it must close it (closing under a reader crashes FFmpeg); another thread may open it. Opening
    raises AccessDenied or SourceError.
    """

    def __init__(self, settings: NetworkCamera, url: CameraUrl, log: FfmpegLog) -> None:
        self._settings, self._url = settings, url
        self._opened_ns = monotonic_ns()
        self._container = connect(settings, url, log)
        try:
            self._stream = stream = video_stream(self._container, url)
            self._decoder = LiveDecoder(stream, log)
        except BaseException:
            self._container.close()
            raise
        self._packets = LivePackets(self._container, stream, url, log, settings.stall_s)
        self._to_bgr = BgrConverter()
        self.codec = stream.codec_context.name
        self.size = Size(stream.height, stream.width) if stream.height and stream.width else None
        """Size of the newest image; None before the first one if the camera does not state it."""
        self.is_recording = self._container.duration is not None or url.scheme == "lavfi"
        """It has an end and no pace of its own: a file on a web server, or a generated pattern."""
        self._rtp = url.scheme in RTP_SCHEMES
        self._clock = CaptureClock(rtp=self._rtp, held=self._rtp and self.codec in HELD_BY_PARSER)
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._stated_fps = float(stream.average_rate or stream.guessed_rate or 0)
        self._shown_ns: deque[int] = deque(maxlen=RATE_IMAGES)

    @property
    def fps(self) -> float:
        """Frames per second over the last images; with too few of them, the rate that the camera states; 0: unknown."""
        shown_ns = tuple(self._shown_ns)
        if len(shown_ns) < RATE_AT_LEAST or shown_ns[-1] == shown_ns[0]:
            return self._stated_fps
        return (len(shown_ns) - 1) * NS_PER_S / (shown_ns[-1] - shown_ns[0])

    def close(self) -> None:
        """Call it from the reading thread only."""
        self._container.close()

    def images(self, stopping: threading.Event) -> Iterator[DecodedImage]:
        """Images until ``stopping`` is set or a recording ends. Raises SourceStalled or SourceError otherwise."""
        pacer = Pacer(stopping) if self.is_recording else None
        for decoded in self._fresh(stopping):
            media_s = self._media_s(decoded.frame.pts)
            if pacer is not None and media_s is not None and not pacer.wait_until(media_s):
                return
            if stopping.is_set():
                return
            # Of the frame, because stream.width stays as it was when a camera changes its size midway.
            self.size = Size(decoded.frame.height, decoded.frame.width)
            stamp = self._clock.stamp(media_s) if pacer is None else Stamp.now(media_s=media_s)
            self._shown_ns.append(stamp.mono_ns)
            yield DecodedImage(self._to_bgr(decoded.frame), stamp, decoded.integrity)

    def _fresh(self, stopping: threading.Event) -> Iterator[CheckedFrame]:
        """Decoded images without those that were buffered while the connection was opened."""
        limit_s, image_ns = self._settings.open_s, self._opened_ns
        # Unless they are skipped, a view starts with a burst and stays behind: by 1.2 s at 25 fps, 2.9 s at 10 fps
        # (FFmpeg's default options).
        backlog = _Backlog()
        for packet, log_lines, waited_ns in self._packets.arrivals(stopping):
            media_s = self._media_s(packet.pts)
            # Before decoding, whose time would count as the network's.
            self._clock.arrived(media_s, camera_time_us(packet))
            images = self._decoder.decode(packet, log_lines)
            without_s = (monotonic_ns() - image_ns) / NS_PER_S
            if not images and without_s > limit_s:
                raise errors.undecodable(self._url, without_s, limit_s)
            if self.is_recording or backlog.is_over(waited_ns, media_s if self._rtp else None):
                yield from images
            if images:
                # After the yield, because the time that the consumer takes for an image does not count.
                limit_s, image_ns = self._settings.stall_s, monotonic_ns()
        if not stopping.is_set():
            if not self.is_recording:
                raise errors.ended(self._url)
            yield from self._decoder.decode(None)

    def _media_s(self, pts: int | None) -> float | None:
        return None if pts is None else float(pts * self._time_base)


class _Backlog:
    """Recognises the packets that were buffered while the connection was opened: they come without a pause."""

    def __init__(self) -> None:
        self._over = False
        self._started_ns = monotonic_ns()
        self._last_media_s: float | None = None
        self._steps: deque[tuple[float, float]] = deque(maxlen=PACED_PACKETS)

    def is_over(self, waited_ns: int, media_s: float | None) -> bool:
        """Whether the next packet is fresh; once True, always True.

        ``waited_ns``: time spent waiting for the packet. ``media_s``: its media time; None without a time line.
        """
        waited_s, last_s = waited_ns / NS_PER_S, self._last_media_s
        self._last_media_s = media_s
        if media_s is not None and last_s is not None and 0 < media_s - last_s < 1:
            self._steps.append((waited_s, media_s - last_s))
        waits_s, steps_s = (sum(column) for column in zip(*self._steps, strict=True)) if self._steps else (0.0, 0.0)
        fresh = waited_s > FRESH_AFTER_S and waits_s >= steps_s / 2
        self._over = self._over or fresh or monotonic_ns() - self._started_ns > CATCH_UP_NS
        return self._over
