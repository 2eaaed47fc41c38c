"""Reads a webcam on Linux: selects a pixel format, decodes its images, and uses the driver's time stamps."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns, time_ns

from stream.core.clock import Stamp
from stream.frames import Size
from stream.settings import WebcamCamera
from stream.sources.network.ffmpeg_log import KEPT_LINES
from stream.sources.webcam import errors
from stream.sources.webcam import v4l2_abi as abi
from stream.sources.webcam.devices import PixelFormat, formats_of
from stream.sources.webcam.pixel_formats import NAMES, ImageDecoder, ffmpeg_name
from stream.sources.webcam.reader import CapturedImage, NegotiatedFormat
from stream.sources.webcam.v4l2_device import VideoNode

LATE_S = 0.1
"""An image that has waited longer than this is not decoded if a newer one waits: the driver's buffers are few, but a
process that was stopped, or decodes too slowly, would always show the oldest."""
ENOUGH_FPS = 30.0
"""Without a requested rate, a pixel format with a higher rate than this is not better."""
_PREFERRED = tuple(dict.fromkeys(NAMES.values()))


class V4l2Webcam:
    """An open and streaming camera, for one thread at a time. Opening raises SourceError."""

    def __init__(self, settings: WebcamCamera) -> None:
        self.path = path = device_path(settings.device)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        try:
            self._node = VideoNode(path)
        except OSError as error:
            raise errors.on_opening(error, path) from error
        try:
            self._start(settings)
        except OSError as error:
            self._node.close()
            raise errors.on_opening(error, path) from error
        except BaseException:
            self._node.close()
            raise

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The last errors and warnings of the decoder and the driver, at most ten."""
        return (*self._decoder.log_lines, *self._lines)[-KEPT_LINES:]

    def discard_buffered(self) -> None:
        """Discard the images that the driver captured before the first read. Raises SourceError."""
        try:
            while self._node.wait(0):
                with self._node.dequeued():
                    pass
        except OSError as error:
            raise errors.on_reading(error, self.path) from error

    def read(self, timeout_s: float) -> CapturedImage | None:
        """The next image; None if none came in time or it cannot be decoded. Raises SourceError."""
        try:
            return self._read() if self._node.wait(timeout_s) else None
        except OSError as error:
            raise errors.on_reading(error, self.path) from error

    def close(self) -> None:
        """Call it from the reading thread only."""
        self._node.close()

    def _start(self, settings: WebcamCamera) -> None:
        capability = self._node.capability()
        self.name, self.driver = (text.decode(errors="replace") for text in (capability.card, capability.driver))
        if not capability.node_capabilities & abi.CAP_VIDEO_CAPTURE:
            raise OSError(errno.ENOTTY, "not a video capture device")
        layout = self._negotiate(settings)
        letters = abi.fourcc(layout.pixelformat)
        # The rate after the size, on which it depends, and read back: vivid gives 12.5 fps for 30 at 1280x720.
        self.negotiated = NegotiatedFormat(_size_of(layout), self._node.set_rate(settings.fps), NAMES[letters])
        full_range = layout.quantization == abi.FULL_RANGE
        self._decoder = ImageDecoder(letters, self.negotiated.size, layout.bytesperline, full_range=full_range)
        self._node.start()

    def _negotiate(self, settings: WebcamCamera) -> abi.PixelLayout:
        width, height = settings.width, settings.height
        size = Size(height, width) if height and width else _size_of(self._node.layout())
        formats = formats_of(self._node)
        selected = select_format(formats, settings.pixel_format, size, settings.fps)
        if selected is not None:
            layout = self._node.set_layout(abi.fourcc_code(selected.fourcc), size)
            if abi.fourcc(layout.pixelformat) == selected.fourcc:
                return layout
        raise errors.unsupported_format(self.path, settings.pixel_format, formats)

    def _read(self) -> CapturedImage | None:
        with self._node.dequeued() as filled:
            if filled is None:
                return None
            stamp, is_bad = stamp_of(filled.mono_ns), filled.is_bad
            if stamp.age_s() > LATE_S and self._node.wait(0):
                return CapturedImage(None, stamp, "clean")
            converted = self._decoder(filled.data)
        if is_bad or converted is None:
            self._lines.append(f"{self.driver}: bad image, {'shown as tainted' if converted else 'not shown'}")
        if converted is None:
            return None
        return CapturedImage(converted.image, stamp, "tainted" if is_bad else converted.integrity)


def device_path(device: str) -> str:
    """The path of a device node: ``0`` means ``/dev/video0``; a path stays as it is."""
    return f"/dev/video{device}" if device.isdigit() else device


def select_format(
    formats: Sequence[PixelFormat], requested: str | None, size: Size, fps: float | None
) -> PixelFormat | None:
    """The requested pixel format, by FFmpeg's name or the FourCC; None if it is not offered or cannot be read.

    Without a request, formats that offer the size come first, then those with the rate at this size (USB 2 has room for
    1280x720 at 10 fps uncompressed, and at 30 fps as MJPEG), then uncompressed colour, then MJPEG, then grey.
    """
    readable = [offered for offered in formats if offered.name]
    if requested is not None:
        name = ffmpeg_name(requested)
        return next((offered for offered in readable if offered.name == name), None)

    def rank(offered: PixelFormat) -> tuple[bool, float, int]:
        best = offered.best_fps(size)
        return best is not None, min(best or 0.0, fps or ENOUGH_FPS), -_PREFERRED.index(offered.name)

    return max(readable, key=rank, default=None)


def stamp_of(captured_ns: int | None) -> Stamp:
    """The driver's time (CLOCK_MONOTONIC, nanoseconds), however old; now if it has none, or one in the future."""
    now_ns = monotonic_ns()
    if captured_ns is None or captured_ns > now_ns:
        return Stamp.now()
    return Stamp(captured_ns, time_ns() - (now_ns - captured_ns), "device")


def _size_of(layout: abi.PixelLayout) -> Size:
    return Size(layout.height, layout.width)
