"""One connection to a live stream: its images, from the first fresh one to its end or its error."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from itertools import repeat, takewhile
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

from stream.core.clock import NS_PER_S, Pacer, Stamp
from stream.frames import Image, Integrity, Size
from stream.settings import NetworkCamera
from stream.sources.network import errors
from stream.sources.network.access_unit import Reader
from stream.sources.network.backlog import Backlog
from stream.sources.network.capture_clock import CaptureClock
from stream.sources.network.decoder import CheckedFrame, LiveDecoder, codec_context
from stream.sources.network.ffmpeg.connection import hardware
from stream.sources.network.ffmpeg.reader import FfmpegReader
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.opening import open_reader
from stream.sources.network.receiver import Received, Receiver
from stream.sources.network.url import CameraUrl
from stream.sources.pixels.bgr import BgrConverter

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

LATE_S = 0.1
"""An image that has waited longer than this here is not shown if a newer one waits: showing costs most of the time."""
SHOW_EVERY_S = 0.2
"""But after this much decoding one is shown, so that a decoder that is too slow still shows something."""
RATE_IMAGES = 50
"""The frame rate is measured over this many images."""
RATE_AT_LEAST = 10
"""With fewer images the rate that the camera states is reported."""


class DecodedImage(NamedTuple):
    """One image with its stamp and integrity."""

    image: Image | None
    """(H, W, 3) uint8 BGR, contiguous, read-only; None: left out because a newer one was there already."""
    stamp: Stamp
    integrity: Integrity


class LiveSession:
    """An open connection. Opening raises AccessDenied or SourceError; it may happen in another thread than reading."""

    def __init__(self, settings: NetworkCamera, url: CameraUrl, log: FfmpegLog) -> None:
        self._settings, self._url, self._log = settings, url, log
        self._opened_ns = monotonic_ns()
        reader = open_reader(settings, url, log)
        try:
            self._decoder = LiveDecoder(_decoder_for(reader, settings, url), log)
        except BaseException:
            reader.close()
            raise
        self._receiver = Receiver(reader, url, settings.name, settings.behind_s)
        self._to_bgr = BgrConverter()
        self._clock = CaptureClock()
        self._backlog = Backlog(reader.time_line)
        self.codec = reader.codec
        self.size = reader.size
        """Size of the newest image; None before the first one if the camera does not state it."""
        self.is_recording = reader.is_recording
        self._stated_fps = reader.stated_fps
        self._shown_ns: deque[int] = deque(maxlen=RATE_IMAGES)

    @property
    def fps(self) -> float:
        """Frames per second over the last images; with too few of them, the rate that the camera states; 0: unknown."""
        shown_ns = tuple(self._shown_ns)
        if len(shown_ns) < RATE_AT_LEAST or shown_ns[-1] == shown_ns[0]:
            return self._stated_fps
        return (len(shown_ns) - 1) * NS_PER_S / (shown_ns[-1] - shown_ns[0])

    @property
    def clock_fault(self) -> str:
        """Why the ages do not come from the camera's clock: a few words after "its clock"; empty if they do."""
        return self._receiver.clock.fault

    def close(self) -> None:
        self._receiver.close()

    def images(self, stopping: threading.Event) -> Iterator[DecodedImage]:
        """Images until ``stopping`` is set or a recording ends. Raises SourceStalled or SourceError otherwise.

        Images that were skipped because newer ones were there are None, one for each.
        """
        self._receiver.start()
        pacer, shown_ns = Pacer(stopping) if self.is_recording else None, 0
        for received, frames in self._decoded(stopping):
            if received is not None and received.skipped:
                skipped = DecodedImage(None, self._stamp(received), "clean")
                # There may be thousands.
                yield from takewhile(lambda _: not stopping.is_set(), repeat(skipped, received.skipped))
            for checked in frames:
                media_s = checked.received.unit.media_s
                if pacer is not None and media_s is not None and not pacer.wait_until(media_s):
                    return
                if stopping.is_set():
                    return
                is_due = pacer is not None or monotonic_ns() - shown_ns > SHOW_EVERY_S * NS_PER_S
                if not is_due and self._receiver.is_late(checked.received, LATE_S):
                    yield DecodedImage(None, self._stamp(checked.received), checked.integrity)
                else:
                    yield self._shown(checked)
                    # After the yield: the consumer's time for an image is no reason to show it another old one.
                    shown_ns = monotonic_ns()

    def _decoded(self, stopping: threading.Event) -> Iterator[tuple[Received | None, list[CheckedFrame]]]:
        """Access units with the frames that came out, without those that were buffered before the first fresh one."""
        limit_s, image_ns, is_first = self._settings.open_s, self._opened_ns, True
        # Unless they are skipped, a view starts with a burst and stays behind: by 1.2 s at 25 fps, 2.9 s at 10 fps
        # (FFmpeg's default options).
        while (received := self._next(limit_s, stopping, is_first)) is not None:
            frames = self._decoder.decode(received)
            without_s = (monotonic_ns() - image_ns) / NS_PER_S
            if not frames and without_s > limit_s:
                words = self._log.last_lines[-1] if self._log.last_lines else ""
                raise errors.undecodable(self._url, without_s, limit_s, self.codec, words)
            is_first = False
            if self.is_recording or self._backlog.is_over(
                received.unit, is_late=self._receiver.is_late(received, LATE_S)
            ):
                yield received, frames
            if frames:
                # After the yield, because the time that the consumer takes for an image does not count.
                limit_s, image_ns = self._settings.stall_s, monotonic_ns()
        if not stopping.is_set():
            if not self.is_recording:
                raise errors.ended(self._url)
            yield None, self._decoder.decode(None)

    def _next(self, limit_s: float, stopping: threading.Event, is_first: bool) -> Received | None:
        try:
            return self._receiver.next(limit_s, stopping)
        except TimeoutError:
            pass
        # Outside of the handler: the time-out is no news as the context of our error.
        raise (
            errors.silent(self._url, limit_s)
            if is_first
            else errors.stalled(self._url, limit_s, self._settings.stall_s)
        )

    def _shown(self, checked: CheckedFrame) -> DecodedImage:
        # Of the frame, because a camera may change its size midway.
        self.size = Size(checked.frame.height, checked.frame.width)
        stamp = self._stamp(checked.received)
        self._shown_ns.append(stamp.mono_ns)
        return DecodedImage(self._to_bgr(checked.frame), stamp, checked.integrity)

    def _stamp(self, received: Received) -> Stamp:
        unit = received.unit
        if self.is_recording:
            return Stamp.now(media_s=unit.media_s)
        if self.clock_fault:
            # A wrong time line would end up in recordings, and the camera's label is led back by it.
            unit = unit._replace(media_s=None, camera_ns=None)
        return self._clock.stamp(unit, received.captured_ns)


def _decoder_for(reader: Reader, settings: NetworkCamera, url: CameraUrl) -> VideoCodecContext:
    import av

    if isinstance(reader, FfmpegReader):
        return reader.context
    try:
        return codec_context(reader.codec, reader.extradata, hardware(settings.decode))
    except (av.error.FFmpegError, ValueError):
        pass
    raise errors.no_decoder(url)  # outside of the handler, as all errors with FFmpeg's as a context
