"""Bytes to an image, after what would keep a decoder busy for minutes has been refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import cast

import numpy as np

from stream.errors import ImageError
from stream.frames import Image, check_image
from stream.web.depth_api.image_header import Header
from stream.web.http_errors import Refusal

MAX_SCANS = 100
"""Of a progressive JPEG; encoders write about 10. Each one passes over the whole image, even to change nothing."""
MAX_CHUNKS = 100_000
"""Of a PNG; encoders write one for each 8 kB, or larger ones."""
PNG_BYTES_A_PIXEL, PNG_BYTES_A_ROW = 8, 16
"""No PNG has more: four channels of 16 bits, and a filter byte for each row of each of the 7 passes."""
PIECE = 1 << 20
"""Bytes that are inflated at a time when a PNG is measured."""


def decode(data: bytes, header: Header) -> Image:
    """(H, W, 3) uint8 BGR, read-only, turned as its EXIF says: what the ``images`` source makes of the same file.

    Raises Refusal 400 for a damaged image, one that is too small, and one made to keep the decoder busy.
    """
    import cv2

    _check_work(data, header)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise Refusal(400, f"the {header.form} cannot be decoded: save it anew") from error
    if decoded is None:
        raise Refusal(
            400, f"the {header.form} is damaged, or not one with 8 or 16 bits: save it anew and send it again"
        )
    image = cast(Image, decoded)
    try:
        check_image(image)
    except ImageError as error:
        raise Refusal(400, str(error)) from error
    image.flags.writeable = False
    return image


def _check_work(data: bytes, header: Header) -> None:
    if header.form == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:
        raise Refusal(400, f"the JPEG has more than {MAX_SCANS} scans: save it anew")
    if header.form == "PNG":
        height, width = header.size
        _check_inflated(data, height * (width * PNG_BYTES_A_PIXEL + PNG_BYTES_A_ROW))


def _check_inflated(data: bytes, most: int) -> None:
    """libpng inflates what follows the last row, too: 20 MB can hold 20 GB of it."""
    inflate, size = zlib.decompressobj(), 0
    try:
        for part in _image_data(data):
            left = part
            while left and not inflate.eof:
                size += len(inflate.decompress(left, PIECE))
                left = inflate.unconsumed_tail
                if size > most:
                    raise Refusal(400, "the PNG holds more than its image: save it anew")
    except zlib.error:
        return  # the decoder stops there, too, and says so


def _image_data(data: bytes) -> Iterator[bytes]:
    """The IDAT chunks' content; also an APNG's first image."""
    at, view = 8, memoryview(data)
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            yield bytes(view[at + 8 : at + 8 + length])
        at += 12 + length
    raise Refusal(400, f"the PNG has more than {MAX_CHUNKS} parts: save it anew")
