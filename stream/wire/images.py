"""Payloads that are image files: 16-bit PNG for depth, JPEG for previews. OpenCV is imported on first use.

Before a file is decoded, its own header must state the size that the message announced.
"""

from __future__ import annotations

import struct
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import MissingPackage, WireError
from stream.frames import Image

PNG_LEVEL = 1
"""zlib level: at 640x480, level 1 takes half of the default's time for a few per cent more bytes."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_GRAY16 = bytes([16, 0, 0, 0, 0])
"""Bit depth 16, colour type 0, compression 0, filter 0, not interlaced (W3C PNG, 11.2.1)."""
PNG_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND"})
"""Other chunks hold colour profiles, texts or animations, which depth does not use and which cost a decoder memory."""
JPEG_FRAME_STARTS = frozenset({0xC0, 0xC1, 0xC2})
"""SOF0, SOF1, SOF2: baseline, extended and progressive, Huffman coded (ITU-T T.81, table B.1)."""
JPEG_SEGMENTS_BEFORE_FRAME = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""DHT, DQT, DRI, COM, APP0 to APP15: all of them have a length. Of markers without one a decoder skips only the marker,
and could find in the bytes that we skipped as content another frame, of 1.2 GB."""


def png16(pixels: NDArray[Any]) -> bytes:
    """A PNG file of (H, W) uint16. Raises MissingPackage without OpenCV."""
    cv2 = _opencv("PNG16")
    return _encoded(cv2, ".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])


def jpeg(image: Image, quality: int) -> bytes:
    """A JPEG file of (H, W, 3) uint8 BGR; quality 1 to 100. Raises MissingPackage without OpenCV."""
    cv2 = _opencv("JPEG")
    return _encoded(cv2, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def from_png16(payload: memoryview, height: int, width: int) -> NDArray[np.uint16]:
    """(H, W) uint16. Raises WireError for a damaged file and for one of another size."""
    if fault := png_fault(payload, height, width):
        raise WireError(f"a PNG16 payload of {len(payload)} bytes: {fault}")
    cv2 = _opencv("PNG16")
    return _decoded(cv2, payload, cv2.IMREAD_UNCHANGED, (height, width), np.uint16)


def from_jpeg(payload: memoryview, height: int, width: int) -> Image:
    """(H, W, 3) uint8 BGR. Raises WireError for bytes that are no JPEG file and for a file of another size."""
    if (size := jpeg_size(payload)) != (height, width):
        raise WireError(f"a JPEG payload says of itself (height, width) {size}; the header says {(height, width)}")
    cv2 = _opencv("JPEG")
    # An EXIF orientation could swap the two sides that the header announces.
    return _decoded(cv2, payload, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, (height, width, 3), np.uint8)


def png_fault(file: memoryview, height: int, width: int) -> str:
    """The reason why ``file`` is not a 16-bit gray PNG of this size; empty if it is one."""
    # 29 bytes: the signature (8), the length and name of IHDR (8), and its content (13).
    if file[:29].tobytes() != PNG_SIGNATURE + struct.pack(">I4sII", 13, b"IHDR", width, height) + PNG_GRAY16:
        return f"not a PNG file of 16-bit gray and {width}x{height} px"
    # Chunk lengths are checked because OpenCV 5 allocates what a chunk claims: 2.1 GB for a damaged file of 118 bytes.
    at, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(file):
            return "cut short"
        length, kind = struct.unpack_from(">I4s", file, at)
        if kind not in PNG_CHUNKS:
            return f"a {kind!r} chunk in it"
        at += 12 + length  # a chunk has 4 bytes each for its length, its name and its CRC
    return "" if at == len(file) else f"{at} bytes by its chunks"


def jpeg_size(payload: memoryview) -> tuple[int, int] | None:
    """(height, width) from the file's frame header; None if it has none."""
    at = 2
    while at + 9 <= len(payload) and payload[:2].tobytes() == b"\xff\xd8" and payload[at] == 0xFF:
        marker, length = payload[at + 1], int.from_bytes(payload[at + 2 : at + 4], "big")
        if marker in JPEG_FRAME_STARTS:
            height, width = struct.unpack_from(">HH", payload, at + 5)
            return height, width
        if marker not in JPEG_SEGMENTS_BEFORE_FRAME or length < 2:
            return None
        at += 2 + length
    return None


def _encoded(cv2: ModuleType, suffix: str, pixels: NDArray[Any], options: list[int]) -> bytes:
    try:
        _, file = cv2.imencode(suffix, pixels, options)
    except cv2.error as error:
        raise WireError(f"OpenCV cannot write {pixels.dtype} {pixels.shape} as {suffix}: {error.err}") from error
    return bytes(file)


def _decoded(cv2: ModuleType, payload: memoryview, flags: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(payload, np.uint8), flags)
    except cv2.error as error:
        raise WireError(f"OpenCV cannot read an image of {len(payload)} bytes: {error.err}") from error
    if pixels is None or pixels.shape != shape or pixels.dtype != dtype:
        raise WireError(
            f"an image of {len(payload)} bytes is damaged: OpenCV does not read {shape} {dtype.__name__} from it"
        )
    decoded: NDArray[Any] = pixels
    return decoded


def _opencv(purpose: str) -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise MissingPackage(f"{purpose} images need OpenCV: pip install opencv-python") from error
    module: ModuleType = cv2
    return module
