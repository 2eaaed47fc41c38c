"""Is this a whole PNG file of 16-bit gray, of the size it should be, and with nothing but the picture in it?

OpenCV 5 allocates what a chunk says its length is before it looks whether the file is so long: 118 bytes with one bit
wrong took it 2.1 GB and 4 seconds. So the chunks are walked through here first. Their CRCs are left to libpng, which
refuses a file when one is wrong.
"""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY16 = bytes([16, 0, 0, 0, 0])
"""Bit depth 16, colour type 0, compression 0, filter 0, not interlaced (W3C PNG, 11.2.1)."""
CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND"})
"""Others hold colour profiles, texts or animations, which depth has no use for and which cost a decoder memory."""


def png_fault(file: memoryview, height: int, width: int) -> str:
    """What is wrong; empty if nothing is."""
    if file[:29].tobytes() != SIGNATURE + struct.pack(">I4sII", 13, b"IHDR", width, height) + GRAY16:
        return f"not a PNG file of 16-bit gray and {width}x{height} px"
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(file):
            return "cut short"
        length, kind = struct.unpack_from(">I4s", file, at)
        if kind not in CHUNKS:
            return f"a {kind!r} chunk in it"
        at += 12 + length
    return "" if at == len(file) else f"{at} bytes by its chunks"
