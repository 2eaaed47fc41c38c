"""The payload that follows the header: the rows of an image, compressed or not.

    raw         rows of ``step`` bytes, top row first, little endian
    zstd        those rows as one Zstandard frame that states its content size
    delta+zstd  of uint16: every pixel minus the one before it in reading order (the first minus 0), modulo 65536, d;
                zigzag of d as a signed number, (d << 1) ^ (d >> 15), so that small steps either way are small numbers;
                all low bytes, then all high bytes; as one Zstandard frame
    png16       a PNG file of one 16-bit gray channel, not interlaced
    jpeg        a JPEG file of three channels

The header announces the decompressed size, which is compared with the size that the payload itself states before
anything is decompressed: a small message cannot make its reader allocate much more than the image it announces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from stream.errors import WireError
from stream.wire import images
from stream.wire.codes import BYTES_PER_PIXEL, Compression, Encoding
from stream.wire.header import Header
from stream.wire.values import DTYPES

ZSTD_LEVEL = 1
LARGEST_COMPRESSED_PX = 1 << 26
"""67 million pixels, because a compressed payload of a few kB could otherwise claim a gigabyte."""


def compress(pixels: NDArray[Any], compression: Compression) -> bytes:
    """``pixels`` (H, W) uint16, float16 or float32, contiguous, as a payload of any compression but RAW and JPEG."""
    if compression == Compression.DELTA_ZSTD:
        return _zstd(delta(pixels))
    if compression == Compression.PNG16:
        return images.png16(pixels)
    return _zstd(pixels)


def decompress(payload: memoryview, header: Header) -> NDArray[Any]:
    """(H, W) float32, float16 or uint16, or (H, W, 3) uint8; may be a view of ``payload``. Raises WireError."""
    if header.compression == Compression.RAW:
        return _rows(payload, header)
    if header.width * header.height > LARGEST_COMPRESSED_PX:
        raise WireError(
            f"{header.topic}: {header.width}x{header.height} px, compressed, is more than {LARGEST_COMPRESSED_PX} px"
        )
    if header.compression == Compression.PNG16:
        return images.from_png16(payload, header.height, header.width)
    if header.compression == Compression.JPEG:
        return images.from_jpeg(payload, header.height, header.width)
    rows = _unzstd(payload, header.height * header.step)
    if header.compression == Compression.DELTA_ZSTD:
        return undelta(rows).reshape(header.height, header.width)
    return _rows(memoryview(rows), header)


def largest_payload(height: int, width: int, encoding: Encoding, compression: Compression) -> int:
    """Upper bound in bytes, whatever the pixels are."""
    size = height * width * BYTES_PER_PIXEL[encoding]
    if compression == Compression.RAW:
        return size
    if compression in (Compression.ZSTD, Compression.DELTA_ZSTD):
        return size + (size >> 8) + (max(0, (128 << 10) - size) >> 11)  # ZSTD_COMPRESSBOUND of zstd.h
    # Deflate stores what it cannot compress, with 5 bytes to each 16 kB or less, and PNG wraps it in chunks of 8 kB.
    return size + height + ((size + height) >> 7) + 4096


def delta(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) uint16 to the 2 x H x W bytes that delta+zstd compresses."""
    flat = pixels.reshape(-1)
    steps = np.empty(flat.size, np.uint16)
    steps[0] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=steps[1:])
    signed = steps.view(np.int16)
    # int16, because the shift must repeat the sign: -1 for a step down, which inverts all bits, else 0.
    zigzag = ((signed << 1) ^ (signed >> 15)).view(np.uint16)
    split = np.empty((2, flat.size), np.uint8)
    np.copyto(split[0], zigzag, casting="unsafe")
    np.copyto(split[1], zigzag >> 8, casting="unsafe")
    return split


def undelta(split: bytes) -> NDArray[np.uint16]:
    """The inverse of ``delta``: (H x W) uint16."""
    low, high = np.frombuffer(split, np.uint8).reshape(2, -1)
    zigzag = high.astype(np.uint16)
    zigzag <<= 8
    zigzag |= low
    # Unsigned numbers wrap: 0 - 1 is 0xFFFF, which inverts all bits.
    steps = (zigzag >> 1) ^ (np.uint16(0) - (zigzag & 1))
    return np.cumsum(steps, dtype=np.uint16)


def _rows(rows: memoryview, header: Header) -> NDArray[Any]:
    dtype, channels = DTYPES[header.encoding], (3,) if header.encoding == Encoding.U8X3 else ()
    lines = np.frombuffer(rows, np.uint8).reshape(header.height, header.step)
    used = lines[:, : header.width * BYTES_PER_PIXEL[header.encoding]]
    return used.view(dtype).reshape(header.height, header.width, *channels)


def _zstd(pixels: NDArray[Any]) -> bytes:
    # A compressor must not be shared between threads; a new one costs 8 us.
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(pixels.data)


def _unzstd(payload: memoryview, size: int) -> bytes:
    try:
        stated = zstandard.get_frame_parameters(payload).content_size
        if stated != size:
            raise WireError(f"a zstd payload of {stated} bytes; the header announces {size}")
        rows = zstandard.ZstdDecompressor().decompress(payload, max_output_size=size, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:
        raise WireError(f"a zstd payload of {len(payload)} bytes is damaged: {error}") from error
    if len(rows) != size:
        raise WireError(f"a zstd payload of {len(rows)} bytes; the header announces {size}")
    return rows
