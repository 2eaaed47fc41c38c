"""Numeric codes of the header: the pixel type, the compression, the kind of depth, the integrity, and the flags."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Encoding(IntEnum):
    """Type of a pixel."""

    F32 = 1
    U16 = 2
    F16 = 3
    U8X3 = 4
    """Blue, green, red."""


class Compression(IntEnum):
    """Compression of the rows; the number 4 is reserved."""

    RAW = 0
    ZSTD = 1
    DELTA_ZSTD = 2
    """U16 only; see stream.wire.payload."""
    PNG16 = 3
    """U16 only."""
    JPEG = 5
    """U8X3 only."""


class WireKind(IntEnum):
    """Meaning of the numbers; only METRIC may be taken for metres."""

    METRIC = 1
    RELATIVE_INVERSE = 2
    RELATIVE = 3
    CONFIDENCE = 4
    COLOUR = 5


class WireIntegrity(IntEnum):
    """Integrity of the camera's image."""

    CLEAN = 0
    TAINTED = 1
    FROZEN = 2
    BLACK = 3


class Flags(IntFlag):
    """How far the numbers of the header can be trusted. A reader ignores bits that it does not know."""

    NONE = 0
    HOST_ARRIVAL = 1
    """The capture time is when the image reached the publisher's machine."""
    RTCP = 2
    """The capture time is the camera's own, from RTCP sender reports."""
    CLOCK_VERIFIED = 4
    INTRINSICS_CALIBRATED = 8
    SCALE_CALIBRATED = 16
    RANDOM_WEIGHTS = 32
    """The network is not trained: a speed test."""
    SCALE_GUESSED = 64
    """For metric depth: the metres are a guess, because the network does not know the camera's focal length."""


BYTES_PER_PIXEL = {Encoding.F32: 4, Encoding.U16: 2, Encoding.F16: 2, Encoding.U8X3: 3}

ENCODINGS_OF = {
    Compression.RAW: frozenset(Encoding),
    Compression.ZSTD: frozenset(Encoding),
    Compression.DELTA_ZSTD: frozenset({Encoding.U16}),
    Compression.PNG16: frozenset({Encoding.U16}),
    Compression.JPEG: frozenset({Encoding.U8X3}),
}
"""The encodings that each compression accepts."""
