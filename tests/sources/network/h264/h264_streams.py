"""H.264 streams for tests of what is known before decoding: x264's, and headers written bit by bit."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import av
import numpy as np

FPS = 25
H, W = 64, 128
STRUCTURES = {
    "p": "bframes=0:ref=1",
    "p-four-references": "bframes=0:ref=4:weightp=2",
    "baseline-slices": "bframes=0:cabac=0:8x8dct=0:slices=4",
    "b": "bframes=2:b-pyramid=none:b-adapt=0",
    "b-pyramid-strict": "bframes=3:b-pyramid=strict:b-adapt=0",
    "b-pyramid": "bframes=3:b-pyramid=normal:b-adapt=0:ref=4:weightb=1",
    "open-gop": "bframes=2:open-gop=1:b-adapt=0",
    "intra-refresh": "bframes=0:intra-refresh=1",
    "interlaced": "bframes=2:tff=1",
    "interlaced-p": "bframes=0:tff=1:ref=2",
    "hrd": "bframes=2:nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:aud=1",
}
"""Options of x264. Its frame_num wraps at 16, except with intra-refresh."""


class Unit(NamedTuple):
    """An access unit as an encoder or a reader gives it."""

    data: bytes
    index: int
    """The place of its image in the order of display."""


@lru_cache(maxsize=32)
def encoded(structure: str, images: int, key_every: int) -> tuple[Unit, ...]:
    """A pattern that moves, and a corner that blinks, in decoding order."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = W, H, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), FPS
    fixed = f"keyint={key_every}:min-keyint={key_every}:scenecut=0:qp=26:threads=1"
    encoder.options = {"preset": "ultrafast", "x264-params": f"{STRUCTURES[structure]}:{fixed}"}
    scene = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    packets = []
    for index in range(images):
        y, x = 2 * index % 300, 3 * index % 400
        view = scene[y : y + H, x : x + W].copy()
        view[:24, :24] = 37 * index % 256
        frame = av.VideoFrame.from_ndarray(view, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        packets += encoder.encode(frame)
    return tuple(Unit(bytes(packet), packet.pts) for packet in [*packets, *encoder.encode(None)])


class Decoder:
    """FFmpeg's, which says nothing of missing references."""

    def __init__(self) -> None:
        self._context = av.CodecContext.create("h264", "r")
        self._context.thread_count = 1

    def images(self, unit: Unit | None) -> list[tuple[int, bytes]]:
        """Index and pixels of what comes out; None at the end."""
        packet = None
        if unit is not None:
            packet = av.Packet(unit.data)
            packet.pts, packet.time_base = unit.index, Fraction(1, FPS)
        return [(frame.pts, frame.to_ndarray().tobytes()) for frame in self._context.decode(packet)]


@lru_cache(maxsize=32)
def shown(units: tuple[Unit, ...]) -> dict[int, bytes]:
    """What should be seen, by index."""
    decoder = Decoder()
    return {index: pixels for unit in [*units, None] for index, pixels in decoder.images(unit)}


def nal_headers(unit: Unit) -> list[int]:
    """The header bytes of the unit's NAL units."""
    return [part[0] for part in unit.data.split(b"\0\0\1")[1:]]


def is_reference(unit: Unit) -> bool:
    return any(header & 31 in (1, 5) and header & 0x60 for header in nal_headers(unit))


def is_idr(unit: Unit) -> bool:
    return any(header & 31 == 5 for header in nal_headers(unit))


class BitWriter:
    """Writes NAL units bit by bit, by the descriptors of the standard (7.2)."""

    def __init__(self) -> None:
        self._bits: list[int] = []

    def u(self, count: int, value: int) -> BitWriter:
        self._bits += [value >> place & 1 for place in reversed(range(count))]
        return self

    def ue(self, *values: int) -> BitWriter:
        for value in values:
            self.u(2 * (value + 1).bit_length() - 1, value + 1)
        return self

    def se(self, *values: int) -> BitWriter:
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def nal(self, header: int) -> bytes:
        """With a start code, trailing bits and emulation prevention."""
        bits = [*self._bits, 1]
        bits += [0] * (-len(bits) % 8)
        coded, zeros = bytearray(), 0
        for at in range(0, len(bits), 8):
            byte = int("".join(map(str, bits[at : at + 8])), 2)
            if zeros >= 2 and byte <= 3:
                coded.append(3)
                zeros = 0
            coded.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes([header]) + coded


@dataclass(frozen=True)
class Written:
    """Streams of headers without pixels, for structures that x264 does not make. Images are 1920x1080."""

    log2_max_frame_num: int = 4
    log2_max_poc_lsb: int = 8
    gaps_allowed: bool = False
    fields: bool = False
    sps_id: int = 0
    pps_id: int = 0
    weighted: bool = False

    def sets(self) -> bytes:
        sps = BitWriter().u(8, 77).u(8, 0).u(8, 40).ue(self.sps_id, self.log2_max_frame_num - 4)
        sps.ue(0, self.log2_max_poc_lsb - 4, 4).u(1, self.gaps_allowed).ue(119, 33 if self.fields else 67)
        sps.u(1, not self.fields)
        if self.fields:
            sps.u(1, 0)
        sps.u(1, 1).u(1, 1).ue(0, 0, 0, 2 if self.fields else 4).u(1, 0)
        pps = (
            BitWriter().ue(self.pps_id, self.sps_id).u(2, 0).ue(0, 0, 0).u(1, self.weighted).u(2, 0).se(0, 0, 0).u(3, 0)
        )
        return sps.nal(0x67) + pps.nal(0x68)

    def unit(
        self,
        frame_num: int,
        poc: int = 0,
        *,
        idr: bool = False,
        ref: bool = True,
        field: str = "",
        operations: str = "",
    ) -> bytes:
        """``field``: top or bottom. ``operations``: memory management, as "1 0 5": the numbers as they are coded."""
        slice_ = BitWriter().ue(0, 7 if idr else 5, self.pps_id).u(self.log2_max_frame_num, frame_num)
        if self.fields:
            slice_.u(1, bool(field))
            if field:
                slice_.u(1, field == "bottom")
        if idr:
            slice_.ue(0)
        slice_.u(self.log2_max_poc_lsb, poc % (1 << self.log2_max_poc_lsb))
        if not idr:
            slice_.u(1, 1).ue(1).u(1, 1).ue(0, 3, 1, 2, 3)  # two references, in another order
            if self.weighted:
                slice_.ue(5, 5).u(1, 1).se(-20, 7).u(1, 0).u(1, 0).u(1, 1).se(1, 2, -3, 4)
        if ref:
            slice_.u(2 if idr else 1, 0 if idr else bool(operations))
            if operations:
                slice_.ue(*map(int, operations.split()), 0)
        slice_.u(32, poc + 0x5A5A0000)
        kind = 5 if idr else 1
        return (self.sets() if idr else b"") + slice_.nal((0x60 if ref else 0) + kind)
