"""The first 256 bytes of a depth or image message; everything that knows their layout lives here.

Little endian. The topic comes first, because ZeroMQ matches subscriptions against the first bytes of a message.

    offset  type       field
         0  char[64]   topic, padded with NUL: depth/<stream>, preview/<stream>; subscribe to it with one NUL at the end
        64  char[4]    "VDF1"
        68  u16, u16   version (1), header bytes (256: where the payload begins); later versions only append, so a
                       higher version and a longer header are accepted, and their new fields are skipped
        72  u64        seq: counts the camera's images; a gap means that images were dropped
        80  i64, i64   capture, publish: nanoseconds since 1970 UTC; their difference is the age by a monotonic clock
        96  u32 x 4    width, height, step (bytes of a row before compression), payload bytes
       112  u8 x 4     encoding, compression, kind, flags
       116  f32 x 3    scale (stored value * scale = metres; 0: not metric), least and greatest known value, decoded
       128  f64 x 4    fx, fy, cx, cy: pixels, at this width and height; 0: unknown
       160  char[32]   frame id (ROS REP 103: "<stream>_optical_frame")
       192  char[16]   ROS encoding: 32FC1, 16UC1, bgr8; empty if ROS has no name for the format
       208  u32, u32   calibration id, CRC-32 of the payload (0: not computed)
       216  u64        server id: random for each start of a publisher
       224  u32        model id: CRC-32 of the network's name
       228  u8         integrity
       229  27 bytes   zero
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Self

from stream.errors import WireError
from stream.wire.codes import BYTES_PER_PIXEL, ENCODINGS_OF, Compression, Encoding, Flags, WireIntegrity, WireKind
from stream.wire.names import FRAME_ID_BYTES, ROS_ENCODING_BYTES, padded, topic_bytes, unpadded

__all__ = ["HEADER_BYTES", "Compression", "Encoding", "Flags", "Header", "WireIntegrity", "WireKind"]

HEADER_BYTES = 256
MAGIC, VERSION = b"VDF1", 1
LARGEST_SIDE = 16384
"""Pixels; a larger number means a damaged or hostile header."""
LAYOUT = struct.Struct("<64s4sHHQqqIIIIBBBBfffdddd32s16sIIQIB27s")
assert LAYOUT.size == HEADER_BYTES
CODES = {7: Encoding, 8: Compression, 9: WireKind, 10: Flags, 24: WireIntegrity}
FRAME_ID, ROS_ENCODING = 18, 19
"""Indices of two fields in the layout, counted from seq; so are the keys of CODES."""


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of one header. Construction checks nothing; ``parse`` and ``pack`` accept only consistent fields."""

    topic: str
    seq: int
    capture_ns: int
    """When the image was taken: nanoseconds since 1970 UTC."""
    publish_ns: int
    """``capture_ns`` plus the age at publishing by a monotonic clock, nanoseconds."""
    width: int
    height: int
    step: int
    """Bytes of a row before compression."""
    payload_bytes: int
    encoding: Encoding
    compression: Compression
    kind: WireKind
    flags: Flags = Flags.NONE
    scale: float = 0.0
    """Stored value x scale = metres; 0 if not metric."""
    z_min: float = 0.0
    z_max: float = 0.0
    """Least and greatest known value, decoded."""
    fx: float = 0.0
    """fx, fy, cx, cy: pixels at this width and height; all 0 if unknown."""
    fy: float = 0.0
    cx: float = 0.0
    cy: float = 0.0
    frame_id: str = ""
    ros_encoding: str = ""
    calibration_id: int = 0
    crc32: int = 0
    server_id: int = 0
    model_id: int = 0
    integrity: WireIntegrity = WireIntegrity.CLEAN
    header_bytes: int = HEADER_BYTES

    @property
    def stream(self) -> str:
        """The part of the topic after the slash."""
        return self.topic.partition("/")[2]

    def pack(self) -> bytes:
        """256 bytes. Raises WireError for fields that ``parse`` would refuse, and for a number that does not fit."""
        check(self)
        try:
            return LAYOUT.pack(*self._fields())
        except (struct.error, OverflowError, TypeError) as error:
            raise WireError(
                f"the header of {self.topic} {self.seq}: a number does not fit its field: {error}"
            ) from error

    @classmethod
    def parse(cls, message: bytes | memoryview) -> Self:
        """The header of a whole message. Raises WireError, and nothing else, for bytes that are not such a message."""
        view = memoryview(message).cast("B")
        if len(view) < HEADER_BYTES:
            raise WireError(f"a message of {len(view)} bytes is shorter than a header, {HEADER_BYTES} bytes")
        topic, magic, version, header_bytes, *numbers = LAYOUT.unpack_from(view)
        if magic != MAGIC or version < 1:
            raise WireError(f"not a depth message: magic {magic!r} version {version}, expected {MAGIC!r} {VERSION}")
        header = cls._from_fields(topic, header_bytes, *numbers)
        check(header)
        # Refuses a header longer than the message, too, because payload_bytes cannot be negative.
        if header.payload_bytes != len(view) - header_bytes:
            raise WireError(
                f"{header.topic}: {len(view)} bytes are not the header's {header_bytes} + {header.payload_bytes}"
            )
        return header

    def _fields(self) -> tuple[Any, ...]:
        return (
            *(topic_bytes(self.topic), MAGIC, VERSION, self.header_bytes),
            *(self.seq, self.capture_ns, self.publish_ns),
            *(self.width, self.height, self.step, self.payload_bytes),
            *(self.encoding, self.compression, self.kind, self.flags),
            *(self.scale, self.z_min, self.z_max),
            *(self.fx, self.fy, self.cx, self.cy),
            padded(self.frame_id, FRAME_ID_BYTES, "frame id"),
            padded(self.ros_encoding, ROS_ENCODING_BYTES, "ROS encoding"),
            *(self.calibration_id, self.crc32, self.server_id, self.model_id, self.integrity, b""),
        )

    @classmethod
    def _from_fields(cls, topic: bytes, header_bytes: int, *numbers: Any) -> Self:
        """From the layout's fields without magic and version; they have the same order as the fields of this class."""
        values = list(numbers)
        try:
            # IntFlag keeps bits that it does not know, while the enums raise: a pixel of unknown type cannot be read.
            for index, code in CODES.items():
                values[index] = code(values[index])
        except ValueError as error:
            raise WireError(f"the header has a value that this reader does not know: {error}") from error
        values[FRAME_ID] = unpadded(values[FRAME_ID], "frame id")
        values[ROS_ENCODING] = unpadded(values[ROS_ENCODING], "ROS encoding")
        values[-1] = header_bytes  # in place of the reserved bytes
        return cls(unpadded(topic, "topic"), *values)


def check(header: Header) -> None:
    """Raise WireError unless the fields agree with each other; the size of the message is not checked here."""
    fault = _shape_fault(header) or _meaning_fault(header) or _optics_fault(header)
    if fault:
        raise WireError(f"{header.topic or 'a message without a topic'}: {fault}")


def _shape_fault(header: Header) -> str:
    width, height, step = header.width, header.height, header.step
    row = width * BYTES_PER_PIXEL[header.encoding]
    if header.header_bytes < HEADER_BYTES:
        return f"a header of {header.header_bytes} bytes; it has at least {HEADER_BYTES}"
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        return f"{width}x{height} px; sides are 1 to {LARGEST_SIDE}"
    if step < row:
        return f"rows of {step} bytes; {width} px of {header.encoding.name} are {row}"
    if header.compression != Compression.RAW:
        return "" if step == row else f"rows of {step} bytes; a compressed image has no padding, {row} it is"
    if step * height != header.payload_bytes:
        return f"a payload of {header.payload_bytes} bytes; {height} rows of {step} are {step * height}"
    return ""


def _meaning_fault(header: Header) -> str:
    if not header.topic:
        return "no reader can subscribe to it"
    if header.encoding not in ENCODINGS_OF[header.compression]:
        return f"{header.compression.name} does not go with {header.encoding.name}"
    if (header.kind == WireKind.COLOUR) != (header.encoding == Encoding.U8X3):
        return f"{header.kind.name} does not go with {header.encoding.name}"
    if not all(map(math.isfinite, (header.scale, header.z_min, header.z_max))) or header.z_min > header.z_max:
        return f"scale {header.scale}, depth from {header.z_min} to {header.z_max}"
    if (header.scale > 0) != (header.kind == WireKind.METRIC) or header.scale < 0:
        return f"scale {header.scale} to metres, of {header.kind.name} depth"
    return "" if header.ros_encoding.isascii() else f"ROS encoding {header.ros_encoding!r} is not ASCII"


def _optics_fault(header: Header) -> str:
    optics = header.fx, header.fy, header.cx, header.cy
    known = header.fx > 0 and header.fy > 0 and all(map(math.isfinite, optics))
    return "" if known or optics == (0, 0, 0, 0) else f"fx, fy, cx, cy = {optics}; all 0 if not known"
