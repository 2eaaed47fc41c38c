"""The pixel formats of webcams that we can read: their four letters, FFmpeg's names, and their way to BGR."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from stream.core.log import redact
from stream.errors import SourceError
from stream.frames import Image, Integrity, Size
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.pixels.bgr import BgrConverter

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

ERROR = 16
"""FFmpeg's AV_LOG_ERROR."""
HARMLESS = re.compile(r"\bAPP\b|EXIF", re.I)
"""Many webcams write data of their own into JPEG images that no decoder understands; the image is whole."""
FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""


class Raw(NamedTuple):
    """An uncompressed pixel format."""

    name: str
    """FFmpeg's."""
    bytes_per_pixel: int
    """In a line of the image, or of its first plane."""


RAW = {
    "YUYV": Raw("yuyv422", 2),
    "UYVY": Raw("uyvy422", 2),
    "YVYU": Raw("yvyu422", 2),
    "422P": Raw("yuv422p", 1),
    "NV16": Raw("nv16", 1),
    "NV12": Raw("nv12", 1),
    "NV21": Raw("nv21", 1),
    "YU12": Raw("yuv420p", 1),
    "BGR3": Raw("bgr24", 3),
    "RGB3": Raw("rgb24", 3),
    "XR24": Raw("bgr0", 4),
    "RGBP": Raw("rgb565le", 2),
}
GREY = {"GREY": Raw("gray", 1), "Y10 ": Raw("gray10le", 2), "Y16 ": Raw("gray16le", 2)}
BAYER = {
    "RGGB": Raw("bayer_rggb8", 1),
    "BA81": Raw("bayer_bggr8", 1),
    "GRBG": Raw("bayer_grbg8", 1),
    "GBRG": Raw("bayer_gbrg8", 1),
}
UNCOMPRESSED = RAW | GREY | BAYER
MJPEG = "mjpeg"
NAMES = {fourcc: raw.name for fourcc, raw in RAW.items()} | {"MJPG": MJPEG, "JPEG": MJPEG}
NAMES |= {fourcc: raw.name for fourcc, raw in (GREY | BAYER).items()}
"""Four letters -> the name in settings, the formats to be preferred first."""


def ffmpeg_name(asked: str) -> str:
    """The name in ``NAMES`` for what a user may write: ``MJPG``, ``yuyv``, ``YUYV422``."""
    return NAMES.get(asked.upper().ljust(4), asked.lower())


class Converted(NamedTuple):
    """An image, and whether it is what the camera saw."""

    image: Image
    """(H, W, 3) uint8 BGR, contiguous, read-only."""
    integrity: Integrity


class ImageDecoder:
    """Images of one pixel format and size as BGR; the bytes are copied, so they may go away afterwards."""

    def __init__(self, fourcc: str, size: Size, bytes_per_line: int = 0, *, full_range: bool = False) -> None:
        """``bytes_per_line``: of the (first) plane, padding included; 0: without padding or compressed.

        Raises SourceError for padding that is no whole number of pixels.
        """
        raw = UNCOMPRESSED.get(fourcc)
        self._codec = _raw_decoder(raw, size, bytes_per_line) if raw else _mjpeg_decoder()
        self._width = size.width if raw else None
        if full_range:
            self._codec.color_range = FULL_RANGE
        self._to_bgr = BgrConverter()
        self._log = FfmpegLog(redact)

    @property
    def log_lines(self) -> tuple[str, ...]:
        """FFmpeg's last complaints."""
        return self._log.kept

    def __call__(self, data: memoryview) -> Converted | None:
        """None for bytes that are no image: too few of them, or no JPEG."""
        import av

        packet = av.Packet(len(data))
        packet.update(data)  # type: ignore[arg-type]  # it takes any buffer
        with self._log.heard() as said:
            try:
                frames = self._codec.decode(packet) if len(data) else []
            except (av.error.FFmpegError, OSError):
                return None
        if not frames:
            return None
        damaged = any(line.level <= ERROR and not HARMLESS.search(line.text) for line in said)
        return Converted(self._cropped(frames[0]), "tainted" if damaged or frames[0].is_corrupt else "clean")

    def _cropped(self, frame: VideoFrame) -> Image:
        image = self._to_bgr(frame)
        if self._width is not None and image.shape[1] > self._width:
            image = np.ascontiguousarray(image[:, : self._width])
            image.flags.writeable = False
        return image


def _mjpeg_decoder() -> VideoCodecContext:
    import av

    codec = cast("VideoCodecContext", av.CodecContext.create(MJPEG, "r"))
    codec.thread_count = 1  # other threads' log lines could not be told apart by camera
    return codec


def _raw_decoder(raw: Raw, size: Size, bytes_per_line: int) -> VideoCodecContext:
    import av

    if bytes_per_line % raw.bytes_per_pixel:
        raise SourceError(f"lines of {bytes_per_line} bytes in {raw.name} cannot be read; set another pixel_format")
    codec = av.CodecContext.create("rawvideo", "r")
    # lines that the driver pads are decoded as pixels and cut off afterwards
    codec.width = max(size.width, bytes_per_line // raw.bytes_per_pixel)
    codec.height = size.height
    codec.pix_fmt = raw.name
    return codec
