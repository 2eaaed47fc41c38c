"""What a picture file holds besides the picture that is taken from it, and what its numbers look like."""

from __future__ import annotations

import struct

import numpy as np

TWELVE_BITS = 4096
"""Values of a camera with 12 bits, stored in 16 as they are, stay below."""
PNG, CONTROL = b"\x89PNG\r\n\x1a\n", b"acTL"

ONLY_THE_FIRST = "the file holds several pictures; only the first one is used (of an animation make a video)"


def holds_several(data: bytes) -> bool:
    """Whether an encoded picture is an animated PNG or WebP, or a TIFF of many pages; judged by its first bytes."""
    if data.startswith(PNG):  # "acTL" stands before the pixels (www.w3.org/TR/png-3, 11.3.6.1)
        return CONTROL in data[: max(0, data.find(b"IDAT"))]
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":  # RFC 9649, 2.7: the second bit is "animation"
        return bool(data[20:21]) and bool(data[20] & 0x02)
    return data[:4] in (b"II*\0", b"MM\0*") and _has_a_second_page(data, "<" if data[:1] == b"I" else ">")


def twelve_bits(values: np.ndarray) -> str | None:
    """What to say of 16-bit ``values`` that use the lowest bits only; None if there is nothing to say."""
    top = int(values.max(initial=0))
    if not 0 < top < TWELVE_BITS:
        return None
    return f"16 bits a value, but none above {top}: nearly black; values of 12 bits are to be multiplied by 16 first"


def _has_a_second_page(data: bytes, order: str) -> bool:
    """TIFF 6.0, section 2: behind a directory's entries, 12 bytes each, stands where the next one is, or 0."""
    try:
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, first)
        (second,) = struct.unpack_from(f"{order}I", data, first + 2 + 12 * entries)
    except struct.error:
        return False
    return bool(second)
