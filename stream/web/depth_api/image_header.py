"""Image formats and sizes from the first bytes of a file, without decoding: OpenCV allocates what a header claims.

Each reader walks the file as the decoder behind OpenCV does (libpng, libjpeg-turbo, libwebp, libtiff), so that both
see the same size. No reader visits more than a few thousand places of a file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from stream.frames import MAX_SIDE_PX, Size
from stream.web.http_errors import RequestError

MAX_SEGMENTS = 4096
"""Segments of a JPEG before its size; real files have a few hundred at most (a large colour profile)."""
MAX_ENTRIES = 1024
"""Entries of a TIFF directory; real files have a few dozen."""
_NOT_FRAME_HEADERS = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers between C0 and CF that are no frame headers: Huffman tables, reserved, arithmetic conditioning."""
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers that no length field follows."""
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
"""TIFF tags."""


class Header(NamedTuple):
    """What an image file claims about itself."""

    format: str
    """PNG, JPEG, WebP, BMP or TIFF."""
    size: Size
    """Before rotation by EXIF."""
    buffer_px: int
    """Pixels of the largest buffer that a decoder allocates: the image, or one tile of a TIFF."""


def read_header(data: bytes) -> Header:
    """Raises RequestError: 415 for anything but PNG, JPEG, WebP, BMP and TIFF, 400 for a damaged header."""
    format_name, read = _reader(data)
    try:
        width, height, *tile = read(data)
    except (struct.error, IndexError) as error:
        raise RequestError(400, f"the {format_name} is damaged: it ends within its header; send it again") from error
    if width < 1 or height < 1:
        raise RequestError(400, f"the {format_name} is damaged: it claims {width}x{height} px; send it again")
    tile_px = tile[0] * tile[1] if tile else 0
    return Header(format_name, Size(height, width), max(width * height, tile_px))


def check_size(header: Header, max_pixels: int) -> None:
    """Raises RequestError 413 for an image that is too large to decode."""
    if header.buffer_px > max_pixels or max(header.size) > MAX_SIDE_PX:
        limit = f"{max_pixels / 1e6:g} megapixels and {MAX_SIDE_PX} px a side"
        raise RequestError(
            413, f"the {header.format} is too large ({header.size} px, at most {limit}): scale it down first"
        )


def _reader(data: bytes) -> tuple[str, Callable[[bytes], tuple[int, ...]]]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", _png
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", _jpeg
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP", _webp
    if data.startswith(b"BM"):
        return "BMP", _bmp
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF", _tiff
    if not data:
        raise RequestError(400, 'there is no image in the request: send its bytes, or a form with the file "image"')
    raise RequestError(
        415, "this is no PNG, JPEG, WebP, BMP or TIFF (HEIC, AVIF, GIF, SVG are not read): save it as JPEG"
    )


def _png(data: bytes) -> tuple[int, ...]:
    if data[12:16] != b"IHDR":
        raise RequestError(400, "the PNG is damaged: it does not begin with its header; send it again")
    return struct.unpack_from(">II", data, 16)


def _jpeg(data: bytes) -> tuple[int, ...]:
    """Size in the first frame header (ITU T.81, B.2.2); bytes between segments are skipped, as libjpeg does."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        at = data.find(b"\xff", at)
        if at < 0:
            break
        if data[at + 1] == 0xFF:  # fill bytes: any number may precede a marker (B.1.1.2)
            at += 1
            continue
        marker, at = data[at + 1], at + 2
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker in {0xD8, 0xD9, 0xDA}:
            break
        if marker and marker not in _WITHOUT_LENGTH:
            at += max(2, struct.unpack_from(">H", data, at)[0])  # the length counts its own two bytes (B.1.1.4)
    raise RequestError(400, "the JPEG is damaged: it does not say its size; send it again")


def _webp(data: bytes) -> tuple[int, ...]:
    """RFC 9649: an extended header with its canvas, or one lossy or lossless frame."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return (width, height) if len(data) >= 30 else (0, 0)  # slicing a short file raises nothing, unlike struct
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF  # the two upper bits are a hint for scaling (RFC 6386, 9.1)
    raise RequestError(400, "the WebP is damaged: it does not say its size; send it again")


def _bmp(data: bytes) -> tuple[int, ...]:
    """A negative height means that the rows are stored from the top."""
    header_size = struct.unpack_from("<I", data, 14)[0]
    if header_size == 12:  # BITMAPCOREHEADER of OS/2: the sizes have 16 bits
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def _tiff(data: bytes) -> tuple[int, ...]:
    """TIFF 6.0, first directory: width and height of the image, then of its tiles (0 without tiles)."""
    order = "<" if data.startswith(b"II") else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, start)[0]
    if count > MAX_ENTRIES:
        raise RequestError(400, f"the TIFF is damaged: it claims {count} tags; send it again")
    sizes: dict[int, int] = {}
    for number in range(count):
        at = start + 2 + 12 * number
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in {_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT}:
            # A tag may be repeated: count the largest value, whichever of them libtiff uses.
            sizes[tag] = max(sizes.get(tag, 0), _tiff_value(data, order, kind, at + 8))
    return tuple(sizes.get(tag, 0) for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT))


def _tiff_value(data: bytes, order: str, kind: int, at: int) -> int:
    """An unsigned integer stored in its directory entry: BYTE, SHORT or LONG. No other type can be a size."""
    code = {1: "B", 3: "H", 4: "I"}.get(kind)
    if code is None:
        raise RequestError(400, "the TIFF is damaged: its size is no whole number; send it again")
    value: int = struct.unpack_from(f"{order}{code}", data, at)[0]
    return value
