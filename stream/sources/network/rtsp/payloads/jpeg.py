"""JPEG over RTP (RFC 2435): the scans come in packets, and the file's headers are made again from a few numbers."""

from __future__ import annotations

import struct

from stream.frames import Size
from stream.sources.network.rtsp.payloads.jpeg_tables import HUFFMAN_SEGMENTS, quantisation_tables
from stream.sources.network.rtsp.payloads.nal import LARGEST_UNIT_BYTES, Beginning

RESTARTING = range(64, 128)
"""Types that have a restart header (3.1.7)."""
IN_BAND = range(128, 256)
"""Quality values whose tables come in the packets (3.1.8)."""
END_OF_IMAGE = b"\xff\xd9"
TABLE_BYTES = 64


class JpegPayloads:
    """Payloads -> JPEG file. An image whose middle is missing is cut off there, so that no wrong pixel looks right."""

    recovery_images: int | None = None

    def __init__(self, stated: Size | None = None) -> None:
        """``stated``: the size by SDP, for images above 2040 pixels, which the packets cannot say."""
        self._stated = stated
        self._tables: dict[int, bytes] = {}
        self.data = bytearray()
        self.keyframe = True
        self.is_broken = False
        self._scan_bytes = 0

    def begin(self) -> None:
        self.data = bytearray()
        self.is_broken = False
        self._scan_bytes = 0

    is_complete = True
    begins_inside = False

    @property
    def has_image(self) -> bool:
        return bool(self.data)

    def lost(self) -> None:
        """Nothing to do: offsets tell what is missing."""

    def finished(self) -> bytes:
        """The file; empty if its beginning is missing."""
        if not self.data:
            return b""
        return bytes(self.data if self.data.endswith(END_OF_IMAGE) else self.data + END_OF_IMAGE)

    def add(self, payload: memoryview) -> None:
        """Take the next payload; one that does not continue the image breaks it."""
        parsed = self._parsed(payload)
        if parsed is None:
            self.is_broken = True
            return
        offset, header, scan = parsed
        if offset != self._scan_bytes or self._is_full:
            self.is_broken = True
        elif not self.is_broken:
            self.data += header
            self.data += scan
            self._scan_bytes += len(scan)

    def beginning(self, payload: memoryview) -> Beginning:
        """Whether an image begins with this payload."""
        return "rest" if any(payload[1:4]) else "image"

    @property
    def _is_full(self) -> bool:
        return self._scan_bytes > LARGEST_UNIT_BYTES

    def _parsed(self, payload: memoryview) -> tuple[int, bytes, memoryview] | None:
        """Offset, file header (for offset 0) and data of one payload; None if it makes no sense."""
        if len(payload) < 8:
            return None
        first, kind, quality, width, height = struct.unpack_from("!IBBBB", payload)
        offset, at, restart = first & 0xFFFFFF, 8, 0
        if kind in RESTARTING:
            if len(payload) < 12:
                return None
            restart, at = payload[8] << 8 | payload[9], 12
        if offset:
            return offset, b"", payload[at:]
        tables, at = self._tables_of(payload, at, quality)
        size = Size(height * 8, width * 8) if width and height else self._stated
        if tables is None or size is None or kind & 0x3F > 1:
            return None
        return 0, _file_header(size, kind & 0x3F, tables, restart), payload[at:]

    def _tables_of(self, payload: memoryview, at: int, quality: int) -> tuple[bytes | None, int]:
        """Quantisation tables, None if they are missing, and the place behind them in the payload."""
        if quality not in IN_BAND:
            return quantisation_tables(quality), at
        if len(payload) < at + 4:
            return None, at
        precision, length = payload[at + 1], payload[at + 2] << 8 | payload[at + 3]
        stop = at + 4 + length
        if length == 0:
            return self._tables.get(quality), stop
        tables = _in_bytes(bytes(payload[at + 4 : stop]), precision)
        if tables is not None and quality < 255:  # those of 255 may change with each image
            self._tables[quality] = tables
        return tables, stop


def _in_bytes(tables: bytes, precision: int) -> bytes | None:
    """Two tables of 64 bytes from one or more, each of 8 or 16 bits by its bit in ``precision``; None if too short.

    Values above 255, which a baseline file cannot hold, become 255.
    """
    found, at = [], 0
    for number in range(2):
        size = TABLE_BYTES * (2 if precision >> number & 1 else 1)
        table = tables[at : at + size]
        if len(table) == size:
            found.append(table if size == TABLE_BYTES else _narrowed(table))
        at += size
    return found[0] + found[-1] if found else None


def _narrowed(table: bytes) -> bytes:
    return bytes(min(value, 255) for value in struct.unpack(f"!{TABLE_BYTES}H", table))


def _file_header(size: Size, kind: int, tables: bytes, restart: int) -> bytes:
    """Everything before the scan: two quantisation tables, standard Huffman tables, three components."""
    sampling = 0x22 if kind == 1 else 0x21  # 4:2:0, 4:2:2
    return b"".join(
        (
            b"\xff\xd8",
            b"\xff\xdb\0\x43\0" + tables[:TABLE_BYTES],
            b"\xff\xdb\0\x43\1" + tables[TABLE_BYTES:],
            b"\xff\xdd\0\4" + restart.to_bytes(2, "big") if restart else b"",
            HUFFMAN_SEGMENTS,
            b"\xff\xc0\0\x11\x08" + struct.pack("!HH", size.height, size.width),
            bytes((3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1)),
            b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0",
        )
    )
