"""The first 256 bytes of a depth or picture message; everything that knows their layout lives here.

Little endian. The topic comes first, because ZeroMQ matches subscriptions against the first bytes of a message.

    offset  type       field
         0  char[64]   topic, padded with NUL: depth/<stream>, preview/<stream>; subscribe to it with one NUL at the end
        64  char[4]    "VDF1"
        68  u16, u16   version (1), header bytes (256: where the payload begins; later versions only append)
        72  u64        seq: counts the camera's pictures; a gap is pictures that were left out
        80  i64, i64   capture, publish: nanoseconds since 1970 UTC; their difference is the age by a monotonic clock
        96  u32 x 4    width, height, step (bytes of a row before compression), payload bytes
       112  u8 x 4     encoding, compression, kind, flags
       116  f32 x 3    scale (stored value * scale = metres; 0: not metric), least and greatest known value, decoded
       128  f64 x 4    fx, fy, cx, cy: pixels, at this width and height; 0: unknown
       160  char[32]   frame id (ROS REP 103: "<stream>_optical_frame")
       192  char[16]   ROS encoding: 32FC1, 16UC1, bgr8; empty for what ROS has no name for
       208  u32, u32   calibration id, CRC-32 of the payload (0: not computed)
       216  u64        server id: random for each start of a publisher
       224  u32        model id: CRC-32 of the network's name
       228  u8         integrity
       229  27 bytes   zero
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Self

from stream.errors import WireError

HEADER_BYTES = 256
MAGIC, VERSION = b"VDF1", 1
TOPIC_BYTES, FRAME_ID_BYTES, ROS_ENCODING_BYTES = 64, 32, 16
LARGEST_SIDE = 16384
"""Pixels; what is larger is a damaged or hostile header."""
LAYOUT = struct.Struct("<64s4sHHQqqIIIIBBBBfffdddd32s16sIIQIB27s")
assert LAYOUT.size == HEADER_BYTES


class Encoding(IntEnum):
    """What a pixel is."""

    F32 = 1
    U16 = 2
    F16 = 3
    U8X3 = 4
    """Blue, green, red."""


class Compression(IntEnum):
    """What was done to the rows. 4 is reserved."""

    RAW = 0
    ZSTD = 1
    DELTA_ZSTD = 2
    """Of U16 only; see stream.wire.payload."""
    PNG16 = 3
    """Of U16 only."""
    JPEG = 5
    """Of U8X3 only."""


class WireKind(IntEnum):
    """What the numbers mean; only METRIC may be taken for metres."""

    METRIC = 1
    RELATIVE_INVERSE = 2
    RELATIVE = 3
    CONFIDENCE = 4
    COLOUR = 5


class WireIntegrity(IntEnum):
    CLEAN = 0
    TAINTED = 1
    FROZEN = 2
    BLACK = 3


class Flags(IntFlag):
    """What the numbers in the header may be trusted for."""

    HOST_ARRIVAL = 1
    """The capture time is when the picture reached the publisher's machine."""
    RTCP = 2
    """The capture time is the camera's own, from RTCP sender reports."""
    CLOCK_VERIFIED = 4
    INTRINSICS_CALIBRATED = 8
    SCALE_CALIBRATED = 16
    RANDOM_WEIGHTS = 32
    """The network is not trained: a speed test."""


BYTES_PER_PIXEL = {Encoding.F32: 4, Encoding.U16: 2, Encoding.F16: 2, Encoding.U8X3: 3}


@dataclass(frozen=True, slots=True)
class Header:
    """One header. Construction checks nothing; ``parse`` lets only what makes sense through."""

    topic: str
    seq: int
    capture_ns: int
    publish_ns: int
    width: int
    height: int
    step: int
    payload_bytes: int
    encoding: Encoding
    compression: Compression
    kind: WireKind
    flags: Flags = Flags(0)
    scale: float = 0.0
    z_min: float = 0.0
    z_max: float = 0.0
    fx: float = 0.0
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
        """What stands after the slash of the topic."""
        return self.topic.partition("/")[2]

    def pack(self) -> bytes:
        """256 bytes. Raises WireError for a name that does not fit its field or a number out of its range."""
        raise NotImplementedError

    @classmethod
    def parse(cls, message: bytes | memoryview) -> Self:
        """The header of a whole message. Raises WireError, and nothing else, for bytes that are no such message."""
        raise NotImplementedError
