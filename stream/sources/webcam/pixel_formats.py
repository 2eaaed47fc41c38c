"""The pixel formats of webcams that can be read: their FourCC, FFmpeg's name, and the decoder to BGR."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from stream.core.log import redact
from stream.errors import SourceError
from stream.frames import Image, Integrity, Size
from stream.sources.network.ffmpeg_log import AV_LOG_ERROR, FfmpegLog
from stream.sources.pixels.bgr import BgrConverter
from stream.sources.pixels.nv12 import FULL_RANGE

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

HARMLESS = re.compile(r"\bAPP\b|EXIF", re.I)
"""Log lines about data that many webcams add to their JPEG images; the image itself is whole."""


class Raw(NamedTuple):
    """An uncompressed pixel format."""

    name: str
    """FFmpeg's name."""
    bytes_per_pixel: int
    """Bytes per pixel in a line of the image, or of its first plane."""


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
"""FourCC -> the name in settings, preferred formats first."""


def ffmpeg_name(name: str) -> str:
    """FFmpeg's name for a user's spelling of a format: ``MJPG``, ``yuyv``, ``YUYV422``."""
    return NAMES.get(name.upper().ljust(4), name.lower())  # FourCCs have spaces at the end: "Y16 "


class Converted(NamedTuple):
    """A converted image with its integrity."""

    image: Image
    """(H, W, 3) uint8 BGR, contiguous, read-only."""
    integrity: Integrity


class ImageDecoder:
    """Decodes images of one pixel format and size to BGR; the bytes are copied, so the caller may free them."""

    def __init__(self, fourcc: str, size: Size, bytes_per_line: int = 0, *, full_range: bool = False) -> None:
        """``bytes_per_line``: of the (first) plane, padding included; 0 for compressed images or no padding.

        Raises SourceError for lines that are not a whole number of pixels.
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
        """FFmpeg's last errors and warnings, at most ten."""
        return self._log.last_lines

    def __call__(self, data: memoryview) -> Converted | None:
        """Decode one image; None for bytes that are no image: too few, or no JPEG."""
        import av

        packet = av.Packet(len(data))
        packet.update(data)  # type: ignore[arg-type]  # it takes any buffer
        with self._log.capture() as log_lines:
            try:
                # The decoder would take an empty packet for the end of the stream.
                frames = self._codec.decode(packet) if len(data) else []
            except (av.error.FFmpegError, OSError):
                return None
        if not frames:
            return None
        damaged = any(line.level <= AV_LOG_ERROR and not HARMLESS.search(line.text) for line in log_lines)
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
    codec.thread_count = 1  # log lines of helper threads could not be assigned to a camera
    return codec


def _raw_decoder(raw: Raw, size: Size, bytes_per_line: int) -> VideoCodecContext:
    import av

    if bytes_per_line % raw.bytes_per_pixel:
        raise SourceError(f"lines of {bytes_per_line} bytes in {raw.name} cannot be read; set another pixel_format")
    codec = av.CodecContext.create("rawvideo", "r")
    # the padding of a line is decoded as pixels and cropped afterwards
    codec.width = max(size.width, bytes_per_line // raw.bytes_per_pixel)
    codec.height = size.height
    codec.pix_fmt = raw.name
    return codec
