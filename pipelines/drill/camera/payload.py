"""RTP payload formats: one coded image -> the payloads of its RTP packets.

H.264: RFC 6184, single NAL units and FU-A (packetization-mode 1). H.265: RFC 7798, single NAL units and fragmentation
units. JPEG: RFC 2435 with quantisation tables in band; baseline 4:2:0 or 4:2:2, at most 2040x2040.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

LARGEST_BYTES = 1400
"""Bytes of a payload that fits into an Ethernet frame with all headers."""
START_CODE = b"\0\0\1"
H264_FU_A, H265_FU = 28, 49
JPEG_DYNAMIC_TABLES = 255
"""RFC 2435, section 4.2: the quality value that means "tables are in the first packet"."""


def nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of an H.264 or H.265 byte stream (Annex B), without start codes."""
    units = (unit.rstrip(b"\0") for unit in stream.split(START_CODE))
    return [unit for unit in units if unit]


def h264_payloads(units: list[bytes]) -> Iterator[bytes]:
    """Send a unit whole if it fits, else as fragments with its header in two bytes."""
    for unit in units:
        if len(unit) <= LARGEST_BYTES:
            yield unit
        else:
            indicator = bytes([unit[0] & 0xE0 | H264_FU_A])
            yield from _fragments(indicator, unit[0] & 0x1F, unit[1:])


def h265_payloads(units: list[bytes]) -> Iterator[bytes]:
    for unit in units:
        if len(unit) <= LARGEST_BYTES:
            yield unit
        else:
            header = bytes([unit[0] & 0x81 | H265_FU << 1, unit[1]])
            yield from _fragments(header, unit[0] >> 1 & 0x3F, unit[2:])


def _fragments(header: bytes, unit_type: int, body: bytes) -> Iterator[bytes]:
    room = LARGEST_BYTES - len(header) - 1
    for start in range(0, len(body), room):
        first, last = start == 0, start + room >= len(body)
        yield header + bytes([first << 7 | last << 6 | unit_type]) + body[start : start + room]


def jpeg_payloads(file: bytes) -> Iterator[bytes]:
    """The payloads of a JPEG image; raises ValueError if RFC 2435 cannot carry it."""
    jpeg = _parsed_jpeg(file)
    tables = struct.pack("!BBH", 0, 0, len(jpeg.tables)) + jpeg.tables
    offset = 0
    while offset < len(jpeg.scan):
        # Type-specific byte, 24 bits of offset, type, quality, width and height in blocks of 8 (section 3.1).
        header = struct.pack("!IBBBB", offset, jpeg.kind, JPEG_DYNAMIC_TABLES, jpeg.width // 8, jpeg.height // 8)
        header += tables if offset == 0 else b""
        part = jpeg.scan[offset : offset + LARGEST_BYTES - len(header)]
        yield header + part
        offset += len(part)


class _Jpeg(NamedTuple):
    width: int
    height: int
    kind: int
    """RFC 2435's type: 0 for 4:2:2, 1 for 4:2:0."""
    tables: bytes
    """128 bytes: the quantisation table of luma, then of chroma."""
    scan: bytes


def _parsed_jpeg(file: bytes) -> _Jpeg:
    tables: dict[int, bytes] = {}
    frame = b""
    at = 2
    while (marker := file[at + 1]) != 0xDA:
        length = int.from_bytes(file[at + 2 : at + 4], "big")
        segment = file[at + 4 : at + 2 + length]
        if marker == 0xDB:
            tables |= {segment[i] & 0x0F: segment[i + 1 : i + 65] for i in range(0, len(segment), 65)}
        elif marker == 0xC0:
            frame = segment
        at += 2 + length
    scan_at = at + 2 + int.from_bytes(file[at + 2 : at + 4], "big")
    return _checked_jpeg(frame, tables, file[scan_at:-2])


def _checked_jpeg(frame: bytes, tables: dict[int, bytes], scan: bytes) -> _Jpeg:
    height, width = struct.unpack_from("!HH", frame, 1) if frame else (0, 0)
    sampling = frame[7] if len(frame) == 15 else 0
    if sampling not in {0x21, 0x22} or width % 8 or height % 8 or not 0 < max(width, height) <= 2040:
        raise ValueError(f"a JPEG of {width}x{height} does not fit RTP: sides must be multiples of 8, at most 2040")
    brightness, colour = tables[frame[8]], tables[frame[11]]
    return _Jpeg(width, height, int(sampling == 0x22), brightness + colour, scan)
