"""The numbers that stand for words in a header: what a pixel is, how it is compressed, what it means."""

from __future__ import annotations

from enum import IntEnum, IntFlag


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
    """What the numbers in the header may be trusted for. A reader leaves bits that it does not know alone."""

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
    """Of metric depth: the metres are a guess, because the camera's focal length is not known to the network."""


BYTES_PER_PIXEL = {Encoding.F32: 4, Encoding.U16: 2, Encoding.F16: 2, Encoding.U8X3: 3}

ENCODINGS_OF = {
    Compression.RAW: frozenset(Encoding),
    Compression.ZSTD: frozenset(Encoding),
    Compression.DELTA_ZSTD: frozenset({Encoding.U16}),
    Compression.PNG16: frozenset({Encoding.U16}),
    Compression.JPEG: frozenset({Encoding.U8X3}),
}
"""Which pixels a compression takes."""
