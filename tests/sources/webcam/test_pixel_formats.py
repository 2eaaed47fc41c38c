"""Webcam pixel formats to BGR: raw layouts, padding, damaged and incomplete images."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from stream.errors import SourceError
from stream.frames import Image, Size
from stream.sources.webcam.pixel_formats import BAYER, GREY, RAW, ImageDecoder

SIZE, VGA = Size(48, 64), Size(480, 640)


def colours() -> Image:
    """(48, 64, 3) uint8 BGR: eight bars of different colours."""
    bars = np.array([[c & 1, c >> 1 & 1, c >> 2 & 1] for c in range(8)], np.uint8) * 180 + 30
    return np.ascontiguousarray(np.broadcast_to(np.repeat(bars, 8, axis=0), (*SIZE, 3)))


def memory_of(image: Image, name: str, *, padded: bool) -> bytes:
    """The bytes as a driver lays them out, plane after plane; ``padded`` makes each line a quarter longer."""
    if name.startswith("bayer"):
        planes = [mosaic(image, name.removeprefix("bayer_").removesuffix("8"))]
    else:
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=name)
        planes = [np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size) for plane in frame.planes]
    extra = 4 if padded else 1 << 30
    return b"".join(np.pad(p, ((0, 0), (0, p.shape[1] // extra)), constant_values=99).tobytes() for p in planes)


def mosaic(image: Image, pattern: str) -> Image:
    """(H, W) uint8: a Bayer mosaic, the one colour of each pixel that ``pattern`` lets through."""
    grey = np.empty(image.shape[:2], np.uint8)
    for place, letter in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        grey[rows, columns] = image[rows, columns, "bgr".index(letter)]
    return grey


@pytest.mark.parametrize("padded", [False, True], ids=["", "padded"])
@pytest.mark.parametrize("fourcc", [*RAW, *BAYER])
def test_every_colour_format_keeps_the_colours(fourcc: str, padded: bool) -> None:
    """Images are contiguous, read-only and cropped; exact except for YUV rounding and colour edges."""
    raw = (RAW | BAYER)[fourcc]
    line = SIZE.width * raw.bytes_per_pixel
    convert = ImageDecoder(fourcc, SIZE, line + line // 4 if padded else 0)
    converted = convert(memoryview(memory_of(colours(), raw.name, padded=padded)))
    assert converted is not None
    image, integrity = converted
    assert (integrity, image.shape, image.flags.c_contiguous, image.flags.writeable) == (
        "clean",
        (48, 64, 3),
        True,
        False,
    )
    middles = np.s_[4:-4, 3::8]
    off = np.abs(image[middles].astype(int) - colours()[middles]).max()
    assert off <= 8, f"{raw.name}: off by {off}"


@pytest.mark.parametrize("fourcc", GREY)
def test_grey_formats_give_grey(fourcc: str) -> None:
    """8, 10 and 16 bits all become 8 bits."""
    ramp = np.ascontiguousarray(np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None], (*SIZE, 3)))
    converted = ImageDecoder(fourcc, SIZE)(memoryview(memory_of(ramp, GREY[fourcc].name, padded=False)))
    assert converted is not None
    assert np.abs(converted.image.astype(int) - ramp).max() <= 2


def test_full_range_is_not_stretched() -> None:
    """Black is 0 for a camera that reports full range, and 16 for others."""
    grey = np.full(SIZE[0] * SIZE[1] * 2, 128, np.uint8)
    grey[::2] = 16  # luma
    levels = []
    for full_range in (False, True):
        converted = ImageDecoder("YUYV", SIZE, full_range=full_range)(memoryview(grey.tobytes()))
        assert converted is not None
        levels.append(int(converted.image.max()))
    assert levels[0] <= 1
    assert 15 <= levels[1] <= 17


def test_too_few_bytes_are_no_image() -> None:
    """The driver filled the buffer in part or not at all; the next image is decoded again."""
    convert = ImageDecoder("YUYV", SIZE)
    whole = memoryview(memory_of(colours(), "yuyv422", padded=False))
    assert convert(whole[:100]) is None
    assert convert(whole[:0]) is None
    assert convert(whole) is not None


def test_lines_that_are_no_whole_pixels_are_refused() -> None:
    """They would be decoded into a skewed image."""
    with pytest.raises(SourceError, match="lines of 200 bytes in rgb24"):
        ImageDecoder("RGB3", SIZE, 200)


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """A JPEG of noise, 640 x 480, so that half of the bytes is half of the image."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 640, 480, "yuvj422p", Fraction(1, 30)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="bgr24").reformat(format="yuvj422p")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def test_a_jpeg_image_that_is_cut_off_is_tainted(jpeg: bytes) -> None:
    """FFmpeg only logs a line about it; the next image is clean."""
    convert = ImageDecoder("MJPG", VGA)
    half, whole = convert(memoryview(jpeg)[: len(jpeg) // 2]), convert(memoryview(jpeg))
    assert half is not None
    assert whole is not None
    assert (half.integrity, whole.integrity) == ("tainted", "clean")
    assert whole.image.shape == (480, 640, 3)
    assert any("mjpeg" in line for line in convert.log_lines)


def test_bytes_that_are_no_jpeg_are_no_image(jpeg: bytes) -> None:
    """Later images are not affected."""
    convert = ImageDecoder("MJPG", VGA)
    assert convert(memoryview(b"not an image" * 20)) is None
    assert convert(memoryview(jpeg)) is not None


@pytest.mark.parametrize("foreign", [b"\xff\xe4\x00\x00", b"\xff\xe1\x00\x10Exif\x00\x00II*\x00\xff\xff\xff\x7f"])
def test_foreign_data_in_a_jpeg_image_is_no_damage(jpeg: bytes, foreign: bytes) -> None:
    """Many webcams send it, and FFmpeg logs errors about its length fields."""
    odd = jpeg[:2] + foreign + jpeg[2:]
    converted = ImageDecoder("MJPG", VGA)(memoryview(odd))
    assert converted is not None
    assert converted.integrity == "clean"
