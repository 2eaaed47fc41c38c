"""A webcam under Linux: chooses among what it offers, reads images, and tells when the driver took them."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns, time_ns

from stream.core.clock import NS_PER_S, Stamp
from stream.frames import Size
from stream.settings import WebcamCamera
from stream.sources.network.ffmpeg_log import KEPT_LINES
from stream.sources.webcam import errors as failures
from stream.sources.webcam import v4l2_abi as abi
from stream.sources.webcam.devices import PixelFormat, formats_of
from stream.sources.webcam.pixel_formats import NAMES, ImageDecoder, ffmpeg_name
from stream.sources.webcam.reader import Given, Taken
from stream.sources.webcam.v4l2_device import VideoNode

PLAUSIBLE_S = 5.0
"""A driver's time stamp older than this, or from the future, is none."""
ENOUGH_FPS = 30.0
"""Where no rate is asked for, a pixel format with a higher one is not better."""
_PREFERRED = tuple(dict.fromkeys(NAMES.values()))


class V4l2Webcam:
    """An open camera that sends images, for one thread at a time. Raises SourceError on opening."""

    def __init__(self, settings: WebcamCamera) -> None:
        self.path = path = device_path(settings.device)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        try:
            self._node = VideoNode(path)
        except OSError as error:
            raise failures.on_opening(error, path) from error
        try:
            self._start(settings)
        except OSError as error:
            self._node.close()
            raise failures.on_opening(error, path) from error
        except BaseException:
            self._node.close()
            raise

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The last complaints of the decoder and the driver, at most ten."""
        return (*self._decoder.log_lines, *self._lines)[-KEPT_LINES:]

    def skip_waiting(self) -> None:
        """Leave out the images that were taken while nobody read. Raises SourceError."""
        try:
            while self._node.wait(0):
                with self._node.taken():
                    pass
        except OSError as error:
            raise failures.on_reading(error, self.path) from error

    def read(self, timeout_s: float) -> Taken | None:
        """The next image; None if there was none in time, or one that cannot be shown. Raises SourceError."""
        try:
            return self._take() if self._node.wait(timeout_s) else None
        except OSError as error:
            raise failures.on_reading(error, self.path) from error

    def close(self) -> None:
        """For the reading thread only."""
        self._node.close()

    def _start(self, settings: WebcamCamera) -> None:
        capability = self._node.capability()
        self.name, self.driver = (text.decode(errors="replace") for text in (capability.card, capability.driver))
        if not capability.of_node & abi.CAP_VIDEO_CAPTURE:
            raise OSError(errno.ENOTTY, "not a video capture device")
        layout = self._agree(settings)
        letters = abi.fourcc(layout.pixelformat)
        self.given = Given(_size_of(layout), self._node.rate(settings.fps), NAMES[letters])
        full_range = layout.quantization == abi.FULL_RANGE
        self._decoder = ImageDecoder(letters, self.given.size, layout.bytesperline, full_range=full_range)
        self._node.start()

    def _agree(self, settings: WebcamCamera) -> abi.PixelLayout:
        size = Size(settings.height, settings.width) if settings.height and settings.width else self._size()
        formats = formats_of(self._node)
        chosen = select(formats, settings.pixel_format, size, settings.fps)
        if chosen is not None:
            layout = self._node.set_layout(abi.fourcc_code(chosen.fourcc), size)
            if abi.fourcc(layout.pixelformat) == chosen.fourcc:
                return layout
        raise failures.not_readable(self.path, settings.pixel_format, formats)

    def _size(self) -> Size:
        return _size_of(self._node.layout())

    def _take(self) -> Taken | None:
        with self._node.taken() as filled:
            if filled is None:
                return None
            stamp, is_bad = stamp_of(filled.mono_ns), filled.is_bad
            converted = self._decoder(filled.data)
        if is_bad or converted is None:
            self._lines.append(f"{self.driver}: bad image, {'shown as tainted' if converted else 'not shown'}")
        if converted is None:
            return None
        return Taken(converted.image, stamp, "tainted" if is_bad else converted.integrity)


def device_path(device: str) -> str:
    """``0`` is ``/dev/video0``; a path is a path."""
    return f"/dev/video{device}" if device.isdigit() else device


def select(formats: Sequence[PixelFormat], asked: str | None, size: Size, fps: float | None) -> PixelFormat | None:
    """The pixel format asked for, by FFmpeg's name or the four letters; None if it is not offered or not readable.

    Without one: what offers the size, then what offers the rate there (USB 2 has room for 1280x720 at 10 fps
    uncompressed, and at 30 fps as MJPEG), then colour without compression, then MJPEG, then grey.
    """
    readable = [offered for offered in formats if offered.name]
    if asked is not None:
        wanted = ffmpeg_name(asked)
        return next((offered for offered in readable if offered.name == wanted), None)

    def merit(offered: PixelFormat) -> tuple[bool, float, int]:
        best = offered.best_fps(size)
        return best is not None, min(best or 0.0, fps or ENOUGH_FPS), -_PREFERRED.index(offered.name)

    return max(readable, key=merit, default=None)


def stamp_of(taken_ns: int | None) -> Stamp:
    """The driver's time, if it gave a plausible one, else the time of arrival, which is now."""
    now_ns = monotonic_ns()
    if taken_ns is None or not 0 <= now_ns - taken_ns < PLAUSIBLE_S * NS_PER_S:
        return Stamp.now()
    return Stamp(taken_ns, time_ns() - (now_ns - taken_ns), "device")


def _size_of(layout: abi.PixelLayout) -> Size:
    return Size(layout.height, layout.width)
