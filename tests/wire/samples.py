"""Small depth maps whose every number is known, and the messages made from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream.core.clock import Stamp
from stream.frames import DepthMap, Floats, Frame, Image, Intrinsics, Kind, Size
from stream.wire.header import Compression, Encoding
from stream.wire.message import Sender, largest_message, pack_depth

SIZE = Size(5, 7)
CAPTURE_NS = 1_700_000_000_123_456_789
PUBLISH_NS = CAPTURE_NS + 8_000_000
SERVER_ID = 0x0123_4567_89AB_CDEF


def depth_of(size: Size = SIZE) -> Floats:
    """(H, W) float32 with exact binary fractions from 0.5 to 13.4375, and NaN, infinity, negative and far values."""
    y, x = np.mgrid[: size.height, : size.width]
    depth: Floats = (((7 * y + 13 * x) % 208 + 8) / 16).astype(np.float32)
    specials = (np.nan, np.inf, -np.inf, -1.5, 65.534, 65.535, 1e6, 0.0, 0.0004, 0.0006)
    depth.reshape(-1)[-len(specials) :] = specials[: depth.size]
    return depth


def known_depth_of(size: Size = SIZE) -> Floats:
    """(H, W) float32 with one NaN, else finite."""
    y, x = np.mgrid[: size.height, : size.width]
    depth: Floats = (((7 * y + 13 * x) % 208 + 8) / 16).astype(np.float32)
    depth[-1, -1] = np.nan
    return depth


def image_of(size: Size = SIZE) -> Image:
    """(H, W, 3) uint8 BGR, smooth, so that JPEG changes little."""
    y, x = np.mgrid[: size.height, : size.width]
    return np.stack((40 + 8 * x, 60 + 8 * y, 200 - 4 * x - 4 * y), axis=-1).clip(0, 255).astype(np.uint8)


def map_of(depth: Floats, kind: Kind = "metric", camera: str = "cam0", source: str = "arrival") -> DepthMap:
    size = Size(*depth.shape)
    stamp = Stamp(5_000_000_000, CAPTURE_NS, source)  # type: ignore[arg-type]
    optics = Intrinsics(600.0, 601.0, size.width / 2 - 0.5, size.height / 2 - 0.5, size)
    frame = Frame(np.zeros((*size, 3), np.uint8), camera, 42, stamp, optics)
    return DepthMap(depth, kind, frame, "tiny")


def packed(depth_map: DepthMap, encoding: Encoding, compression: Compression, checksum: bool = False) -> bytes:
    """A whole message, in a buffer that is exactly as large as ``largest_message`` says."""
    sender = Sender(SERVER_ID, encoding, compression, checksum)
    buffer = memoryview(bytearray(largest_message(depth_map.size, sender)))
    return bytes(buffer[: pack_depth(depth_map, sender, PUBLISH_NS, buffer)])


def ways() -> Iterator[tuple[Encoding, Compression]]:
    """Every encoding and compression that depth can be sent with."""
    for encoding in (Encoding.F32, Encoding.F16, Encoding.U16):
        yield from ((encoding, Compression.RAW), (encoding, Compression.ZSTD))
    yield from ((Encoding.U16, Compression.DELTA_ZSTD), (Encoding.U16, Compression.PNG16))


WAYS = list(ways())
KINDS: tuple[Kind, ...] = ("metric", "relative_inverse", "relative")
