"""Packs depth maps and preview images into messages."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stream.errors import WireError
from stream.frames import DepthMap, Image, Size
from stream.wire.codes import BYTES_PER_PIXEL, ENCODINGS_OF, Compression, Encoding, Flags, WireIntegrity, WireKind
from stream.wire.header import HEADER_BYTES, LARGEST_SIDE, Header
from stream.wire.images import jpeg
from stream.wire.names import FRAME_ID_BYTES, shortened
from stream.wire.payload import compress, largest_payload
from stream.wire.values import DTYPES, MILLIMETRE, store

ROS_ENCODINGS = {Encoding.F32: "32FC1", Encoding.U16: "16UC1"}
"""ROS names of metric encodings (REP 118); ROS has none for 16-bit floats or for relative depth."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Fields shared by all messages of one publisher. Raises WireError for a compression that does not fit."""

    server_id: int
    """Random for each start, so that readers notice a restart."""
    encoding: Encoding
    """Encoding of depth: F32, F16 or U16."""
    compression: Compression
    checksum: bool = False
    """Put a CRC-32 of the payload into the header."""

    def __post_init__(self) -> None:
        if self.encoding == Encoding.U8X3 or self.encoding not in ENCODINGS_OF[self.compression]:
            raise WireError(f"depth cannot be sent as {self.encoding.name} with {self.compression.name}")


def largest_message(size: Size, sender: Sender) -> int:
    """Upper bound of a depth message of this image size, in bytes, header included."""
    return HEADER_BYTES + largest_payload(size.height, size.width, sender.encoding, sender.compression)


def pack_depth(
    depth_map: DepthMap, sender: Sender, publish_ns: int, into: memoryview, family: Literal["depth", "raw"] = "depth"
) -> int:
    """Write a whole message to the front of ``into`` and return its size in bytes; its topic is ``family``/<stream>.

    Uncompressed pixels are converted straight into the buffer, in one pass. Raises WireError for a buffer that is
    read-only or too small (``largest_message``), and for a map or a name that fits no message.
    """
    size = depth_map.size
    target = _payload_view(into, size, sender)
    kind = WireKind[depth_map.kind.upper()]
    raw = sender.compression == Compression.RAW
    dtype = DTYPES[sender.encoding]
    pixels = np.frombuffer(target, dtype, size.height * size.width).reshape(size) if raw else np.empty(size, dtype)
    z_min, z_max = store(depth_map.depth, kind, pixels)
    used = pixels.nbytes if raw else _copy(compress(pixels, sender.compression), target)
    header = replace(
        _header(family, depth_map, size, sender, publish_ns),
        kind=kind,
        payload_bytes=used,
        scale=_scale(kind, sender.encoding),
        z_min=z_min,
        z_max=z_max,
        ros_encoding=ROS_ENCODINGS.get(sender.encoding, "") if kind == WireKind.METRIC else "",
        crc32=zlib.crc32(target[:used]) if sender.checksum else 0,
    )
    # The header comes last: its size, range and CRC are known only once the payload is stored.
    into.cast("B")[:HEADER_BYTES] = header.pack()
    return HEADER_BYTES + used


def pack_preview(image: Image, depth_map: DepthMap, sender: Sender, quality: int, publish_ns: int) -> bytes:
    """A message with ``image`` (H, W, 3) uint8 BGR as JPEG. Raises WireError, MissingPackage without OpenCV."""
    size = Size(*image.shape[:2])
    _check_size(size)
    payload = jpeg(image, quality)
    header = replace(
        _header("preview", depth_map, size, sender, publish_ns),
        kind=WireKind.COLOUR,
        encoding=Encoding.U8X3,
        compression=Compression.JPEG,
        step=size.width * BYTES_PER_PIXEL[Encoding.U8X3],
        payload_bytes=len(payload),
        ros_encoding="bgr8",
        crc32=zlib.crc32(payload) if sender.checksum else 0,
    )
    return header.pack() + payload


def _header(family: str, depth_map: DepthMap, size: Size, sender: Sender, publish_ns: int) -> Header:
    """The fields that both kinds of message share; the others have the values of depth, before it is stored."""
    frame = depth_map.frame
    camera = frame.intrinsics if size in (frame.size, depth_map.size) else None
    optics = camera.scaled_to(size) if camera else None
    return Header(
        topic=f"{family}/{frame.camera}",
        seq=frame.seq,
        capture_ns=frame.stamp.unix_ns,
        publish_ns=publish_ns,
        width=size.width,
        height=size.height,
        step=size.width * BYTES_PER_PIXEL[sender.encoding],
        payload_bytes=0,
        encoding=sender.encoding,
        compression=sender.compression,
        kind=WireKind.RELATIVE,
        flags=_flags(depth_map),
        fx=optics.fx_px if optics else 0.0,
        fy=optics.fy_px if optics else 0.0,
        cx=optics.cx_px if optics else 0.0,
        cy=optics.cy_px if optics else 0.0,
        frame_id=shortened(f"{frame.camera}_optical_frame", FRAME_ID_BYTES),
        server_id=sender.server_id,
        model_id=zlib.crc32(depth_map.model.encode()),
        integrity=WireIntegrity[frame.integrity.upper()],
    )


def _flags(depth_map: DepthMap) -> Flags:
    frame = depth_map.frame
    flags = {"arrival": Flags.HOST_ARRIVAL, "rtcp": Flags.RTCP}.get(frame.stamp.source, Flags.NONE)
    if frame.intrinsics is not None and frame.intrinsics.calibrated:
        flags |= Flags.INTRINSICS_CALIBRATED
    if depth_map.weights == "random":
        flags |= Flags.RANDOM_WEIGHTS
    return flags | Flags.SCALE_GUESSED if depth_map.scale_guessed else flags


def _scale(kind: WireKind, encoding: Encoding) -> float:
    if kind != WireKind.METRIC:
        return 0.0
    return MILLIMETRE if encoding == Encoding.U16 else 1.0


def _payload_view(into: memoryview, size: Size, sender: Sender) -> memoryview:
    """The part of ``into`` after the header, as bytes."""
    _check_size(size)
    if into.readonly:
        raise WireError("cannot write a message into a read-only buffer")
    # The size of a compressed payload is not known yet; ``_copy`` checks it.
    needed = largest_message(size, sender) if sender.compression == Compression.RAW else HEADER_BYTES
    if into.nbytes < needed:
        raise WireError(f"a buffer of {into.nbytes} bytes is too small for {size} px: largest_message() is {needed}")
    return into.cast("B")[HEADER_BYTES:]


def _copy(payload: bytes, target: memoryview) -> int:
    if len(payload) > len(target):
        raise WireError(f"a payload of {len(payload)} bytes does not fit a buffer with room for {len(target)}")
    target[: len(payload)] = payload
    return len(payload)


def _check_size(size: Size) -> None:
    if not (min(size) >= 1 and max(size) <= LARGEST_SIDE):
        raise WireError(f"a message cannot hold {size} px: sides are 1 to {LARGEST_SIDE}")
