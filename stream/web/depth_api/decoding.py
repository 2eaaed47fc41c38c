"""Decode uploaded bytes to an image, after rejecting files that would keep the decoder busy for minutes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import cast

import numpy as np

from stream.errors import ImageError
from stream.frames import Image, check_image
from stream.web.depth_api.image_header import Header
from stream.web.http_errors import RequestError

MAX_SCANS = 100
"""Scans of a progressive JPEG; encoders write about 10. Each takes a pass over the whole image, even an empty one."""
MAX_CHUNKS = 100_000
"""Chunks of a PNG; encoders write one for each 8 kB, or larger ones."""
PNG_BYTES_PER_PIXEL, PNG_BYTES_PER_ROW = 8, 16
"""Upper bounds for every PNG: four channels of 16 bits, and a filter byte for each row of each of the 7 passes."""
INFLATE_BYTES = 1 << 20
"""Bytes that are inflated at a time while a PNG is measured."""


def decode(data: bytes, header: Header) -> Image:
    """Decode to (H, W, 3) uint8 BGR, read-only, rotated by its EXIF orientation: the same as the ``images`` source.

    Raises RequestError 400 for a damaged image, one that is too small, and one made to keep the decoder busy.
    """
    import cv2

    _check_decoding_cost(data, header)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise RequestError(400, f"the {header.format} cannot be decoded: save it anew") from error
    if decoded is None:
        message = f"the {header.format} is damaged, or not one with 8 or 16 bits: save it anew and send it again"
        raise RequestError(400, message)
    image = cast(Image, decoded)
    try:
        check_image(image)
    except ImageError as error:
        raise RequestError(400, str(error)) from error
    image.flags.writeable = False  # the cache keeps it for further requests
    return image


def _check_decoding_cost(data: bytes, header: Header) -> None:
    # FF DA within a scan can only be a marker: entropy-coded data has a 0 stuffed after each FF (ITU-T T.81, B.1.1.5).
    if header.format == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:
        raise RequestError(400, f"the JPEG has more than {MAX_SCANS} scans: save it anew")
    if header.format == "PNG":
        height, width = header.size
        _check_inflated_size(data, height * (width * PNG_BYTES_PER_PIXEL + PNG_BYTES_PER_ROW))


def _check_inflated_size(data: bytes, max_bytes: int) -> None:
    """libpng also inflates what follows the last row, and 20 MB of a PNG can hold 20 GB of that."""
    inflate, size = zlib.decompressobj(), 0
    try:
        for content in _image_data(data):
            rest = content
            while rest and not inflate.eof:
                # Without the limit, one call would return everything that the chunk inflates to, up to gigabytes.
                size += len(inflate.decompress(rest, INFLATE_BYTES))
                rest = inflate.unconsumed_tail
                if size > max_bytes:
                    raise RequestError(400, "the PNG holds more than its image: save it anew")
    except zlib.error:
        return  # the decoder stops at the same place and reports the damage


def _image_data(data: bytes) -> Iterator[bytes]:
    """The contents of the IDAT chunks, which in an APNG hold its first image."""
    at, view = 8, memoryview(data)
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            yield bytes(view[at + 8 : at + 8 + length])
        at += 12 + length
    raise RequestError(400, f"the PNG has more than {MAX_CHUNKS} parts: save it anew")
