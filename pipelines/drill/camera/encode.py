"""PyAV's encoders: one coded image per access unit, without B-frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from pipelines.drill.camera.numbered import Image, write_number

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

Codec = Literal["h264", "h265", "mjpeg"]

ENCODERS: dict[Codec, tuple[str, str]] = {
    "h264": ("libx264", "yuv420p"),
    "h265": ("libx265", "yuv420p"),
    "mjpeg": ("mjpeg", "yuvj420p"),
}
MJPEG_QUALITY = 118 * 4
"""FFmpeg's quantiser 4 of 31, in units of lambda."""


class Coded(NamedTuple):
    """One encoded image."""

    data: bytes
    """H.264 and H.265: NAL units behind start codes, key frames with their parameter sets; MJPEG: a JPEG file."""
    keyframe: bool


def encode(images: Iterable[Image], codec: Codec, fps: float, keyframe_every: int) -> Iterator[Coded]:
    """Encode (H, W, 3) uint8 BGR images of one size; key frames only every ``keyframe_every`` images."""
    import av

    context: VideoCodecContext | None = None
    for number, image in enumerate(images):
        context = context or _opened(codec, image, fps, keyframe_every)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=context.pix_fmt)
        frame.pts, frame.time_base = number, context.time_base
        yield from (Coded(bytes(packet), packet.is_keyframe) for packet in context.encode(frame))
    if context is not None:
        yield from (Coded(bytes(packet), packet.is_keyframe) for packet in context.encode(None))


def numbered_images(width: int, height: int, fps: float, count: int) -> Iterator[Image]:
    """FFmpeg's moving test pattern, (height, width, 3) uint8 BGR, each with its number from 0 in the top rows."""
    import av

    rate = Fraction(fps).limit_denominator(1001)
    with av.open(f"testsrc2=size={width}x{height}:rate={rate}", format="lavfi") as pattern:
        for number, frame in zip(range(count), pattern.decode(video=0), strict=False):
            image = cast(Image, frame.to_ndarray(format="bgr24"))
            write_number(image, number)
            yield image


def _opened(codec: Codec, image: Image, fps: float, keyframe_every: int) -> VideoCodecContext:
    import av

    name, pixels = ENCODERS[codec]
    context = cast("VideoCodecContext", av.CodecContext.create(name, "w"))
    context.height, context.width = image.shape[:2]
    context.pix_fmt = pixels
    context.framerate = Fraction(fps).limit_denominator(1001)
    context.time_base = 1 / context.framerate
    context.thread_count = 1  # more threads would cut each image into slices
    context.options = _options(codec, keyframe_every)
    return context


def _options(codec: Codec, keyframe_every: int) -> dict[str, str]:
    every = str(keyframe_every)
    if codec == "h264":
        regular = {"g": every, "keyint_min": every, "sc_threshold": "0", "bf": "0"}
        return {"preset": "veryfast", "tune": "zerolatency", **regular}
    if codec == "h265":
        regular = {"keyint": every, "min-keyint": every, "scenecut": "0", "bframes": "0", "open-gop": "0"}
        quiet = {"repeat-headers": "1", "log-level": "error", "pools": "none", "frame-threads": "1"}
        parameters = ":".join(f"{key}={value}" for key, value in (regular | quiet).items())
        return {"preset": "ultrafast", "tune": "zerolatency", "x265-params": parameters}
    # RFC 2435 has no place for Huffman tables of one's own.
    return {"huffman": "default", "flags": "+qscale", "global_quality": str(MJPEG_QUALITY)}
