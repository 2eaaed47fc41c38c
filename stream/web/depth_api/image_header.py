"""What an image's first bytes claim, read without decoding: OpenCV allocates what a header claims.

Each reader walks the file as the decoder behind OpenCV does (libpng, libjpeg-turbo, libwebp, libtiff), so that both
see the same claim. Nothing here stops at more than a few thousand places of a file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from stream.frames import MAX_SIDE_PX, Size
from stream.web.http_errors import Refusal

MAX_SEGMENTS = 4096
"""Of a JPEG before its size; real ones have a few hundred at most (a large colour profile)."""
MAX_ENTRIES = 1024
"""Of a TIFF directory; real ones have a few dozen."""
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""Markers among the JPEG frame headers, C0 to CF, that are none: Huffman tables, reserved, arithmetic conditioning."""
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers without a length."""
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323


class Header(NamedTuple):
    """What an image says about itself."""

    form: str
    size: Size
    """Before any turning by EXIF."""
    buffer_px: int
    """Pixels of the largest thing that a decoder allocates for it: the image, or one tile of a TIFF."""


def read_header(data: bytes) -> Header:
    """Raises Refusal: 415 for anything but PNG, JPEG, WebP, BMP and TIFF, 400 for a header that makes no sense."""
    form, read = _reader(data)
    try:
        width, height, *tile = read(data)
    except (struct.error, IndexError) as error:
        raise Refusal(400, f"the {form} is damaged: it ends within its header; send it again") from error
    if width < 1 or height < 1:
        raise Refusal(400, f"the {form} is damaged: it claims {width}x{height} px; send it again")
    tile_px = tile[0] * tile[1] if tile else 0
    return Header(form, Size(height, width), max(width * height, tile_px))


def check_claim(header: Header, max_pixels: int) -> None:
    """Raises Refusal 413 for what is too large to decode here."""
    if header.buffer_px > max_pixels or max(header.size) > MAX_SIDE_PX:
        most = f"{max_pixels / 1e6:g} megapixels and {MAX_SIDE_PX} px a side"
        raise Refusal(413, f"the {header.form} is too large ({header.size} px, at most {most}): scale it down first")


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
        raise Refusal(400, 'there is no image in the request: send its bytes, or a form with the file "image"')
    raise Refusal(415, "this is no PNG, JPEG, WebP, BMP or TIFF (HEIC, AVIF, GIF, SVG are not read): save it as JPEG")


def _png(data: bytes) -> tuple[int, ...]:
    if data[12:16] != b"IHDR":
        raise Refusal(400, "the PNG is damaged: it does not begin with its header; send it again")
    return struct.unpack_from(">II", data, 16)


def _jpeg(data: bytes) -> tuple[int, ...]:
    """Size in the first frame header (ITU T.81, B.2.2); what stands between segments is skipped, as libjpeg does."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        at = data.find(b"\xff", at)
        if at < 0:
            break
        if data[at + 1] == 0xFF:  # any number of them may stand before a marker
            at += 1
            continue
        marker, at = data[at + 1], at + 2
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker in {0xD8, 0xD9, 0xDA}:
            break
        if marker and marker not in _BARE:
            at += max(2, struct.unpack_from(">H", data, at)[0])
    raise Refusal(400, "the JPEG is damaged: it does not say its size; send it again")


def _webp(data: bytes) -> tuple[int, ...]:
    """RFC 9649: an extended header with its canvas, or one lossy or lossless frame."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return (width, height) if len(data) >= 30 else (0, 0)
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise Refusal(400, "the WebP is damaged: it does not say its size; send it again")


def _bmp(data: bytes) -> tuple[int, ...]:
    """A negative height means rows from the top."""
    header_size = struct.unpack_from("<I", data, 14)[0]
    if header_size == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def _tiff(data: bytes) -> tuple[int, ...]:
    """TIFF 6.0, the first directory: width and height, and those of a tile where there are tiles."""
    order = "<" if data.startswith(b"II") else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, start)[0]
    if count > MAX_ENTRIES:
        raise Refusal(400, f"the TIFF is damaged: it claims {count} tags; send it again")
    found: dict[int, int] = {}
    for number in range(count):
        at = start + 2 + 12 * number
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in {_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT}:
            found[tag] = max(found.get(tag, 0), _tiff_value(data, order, kind, at + 8))
    wanted = (found.get(tag, 0) for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT))
    return tuple(wanted)


def _tiff_value(data: bytes, order: str, kind: int, at: int) -> int:
    """A whole number that stands in its entry: BYTE, SHORT or LONG. Others are not the size of anything."""
    form = {1: "B", 3: "H", 4: "I"}.get(kind)
    if form is None:
        raise Refusal(400, "the TIFF is damaged: its size is no whole number; send it again")
    value: int = struct.unpack_from(f"{order}{form}", data, at)[0]
    return value
