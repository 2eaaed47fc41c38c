"""Reading bits and NAL units of H.264: start codes, emulation prevention and Exp-Golomb codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

START_CODE: Final = b"\0\0\1"
"""The four-byte form has one more zero in front, which then ends the NAL unit before it (B.1.1)."""
LONGEST_PREFIX: Final = 32
"""Zeros before an Exp-Golomb code's first one; no syntax element of H.264 is longer."""


class Malformed(ValueError):
    """The bits end too early, or hold a value that the standard does not allow."""


class NalUnit(NamedTuple):
    """Where a NAL unit lies in an access unit; nothing is copied."""

    start: int
    """Index of its header byte."""
    ref_idc: int
    """0: no other image refers to it (nal_ref_idc)."""
    kind: int
    """nal_unit_type, Table 7-1."""


def nal_units(data: bytes, start: int = 0) -> Iterator[NalUnit]:
    """The NAL units of a byte stream (Annex B) from index ``start`` on, found one by one as the caller goes on."""
    found = data.find(START_CODE, start)
    while found >= 0 and found + 3 < len(data):
        header = data[found + 3]
        yield NalUnit(found + 3, header >> 5 & 3, header & 31)
        found = data.find(START_CODE, found + 3)


def payload(data: bytes, unit: NalUnit, limit: int) -> bytes:
    """The bytes after the NAL unit's header without emulation prevention (7.3.1); at most ``limit`` are read."""
    end = data.find(START_CODE, unit.start, unit.start + 1 + limit)
    coded = data[unit.start + 1 : end if end >= 0 else unit.start + 1 + limit]
    return coded.replace(b"\0\0\3", b"\0\0")


class BitReader:
    """Reads bits, the most significant first. Every method raises Malformed where the bits end."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._left = 8 * len(data)
        self._value = int.from_bytes(data, "big")

    def bits(self, count: int) -> int:
        """u(count): an unsigned number."""
        left = self._left - count
        if left < 0:
            raise Malformed("the bits end too early")
        self._left = left
        return self._value >> left & (1 << count) - 1

    def flag(self) -> bool:
        """u(1)."""
        return self.bits(1) == 1

    def ue(self, most: int = (1 << 32) - 2) -> int:
        """ue(v), 9.1: an unsigned Exp-Golomb code; raises Malformed above ``most``, too."""
        rest = self._value & (1 << self._left) - 1
        zeros = self._left - rest.bit_length()
        left = self._left - 2 * zeros - 1
        if left < 0 or zeros >= LONGEST_PREFIX:
            raise Malformed("no Exp-Golomb code")
        self._left = left
        value = (rest >> left) - 1
        if value > most:
            raise Malformed(f"{value} is above {most}")
        return value

    def se(self) -> int:
        """se(v), 9.1.1: a signed Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)
