"""Finds where a JPEG file ends, by its structure (ITU-T T.81, annex B).

A search for the end marker alone would find the end of the thumbnail inside an Exif segment.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

SOI = b"\xff\xd8"
START = b"\xff\xd8\xff"
"""Every JPEG file begins with these: the start marker and the first byte of the next one."""
EOI = b"\xff\xd9"

_IN_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""A marker that ends coded data: a stuffed zero, TEM, a restart marker or a fill byte does not."""
_LOST_END = re.compile(rb"\xff\xd9|\n\xff\xd8\xff")
_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])
"""Markers without a segment: TEM and the restart markers."""
_FIRST_IN_USE = 0xC0
"""Markers below are reserved."""
_START_OF_SCAN, _START, _END = 0xDA, 0xD8, 0xD9
MOST_STEPS = 1 << 16
"""Markers and fill bytes of one file; each takes a step. Files with more than some hundreds of them are not known."""


class JpegEnd(NamedTuple):
    """Where an image ended."""

    position: int
    """Index after its last byte."""
    kind: Literal["end", "start"]
    """end: with its end marker. start: another image begins here, and the end of this one is missing."""


class JpegWalk:
    """Walks through one JPEG file as it arrives. It remembers how far it came, so each byte is looked at once."""

    def __init__(self) -> None:
        self._at = len(SOI)
        self._steps = 0
        self._in_scan = False
        self.has_scan = False
        """Coded data has begun: even a part of this image can be decoded."""
        self.is_broken = False
        """The structure makes no sense, so that only the end marker was searched from there on."""

    def end(self, data: bytearray) -> JpegEnd | None:
        """The end of the image that begins ``data``, which may only grow between calls; None: it is not there yet."""
        while self._at < len(data):
            if self.is_broken:
                return self._search(data)
            step = self._scan(data) if self._in_scan else self._segment(data)
            if isinstance(step, JpegEnd) or step is None:
                return step
            self._at = step
            self._steps += 1
            if self._steps > MOST_STEPS:
                self._break()
        return None

    def _scan(self, data: bytearray) -> int | None:
        found = _IN_SCAN.search(data, self._at)
        if found is None:
            self._at = max(self._at, len(data) - 1)  # a marker may be cut in two
            return None
        self._in_scan = False
        return found.start()

    def _segment(self, data: bytearray) -> int | JpegEnd | None:
        """Step over the marker at the current place and what belongs to it."""
        at = self._at
        head = data[at : at + 4]
        marker = head[1] if len(head) > 1 else None
        if head[0] != 0xFF:
            return self._break()
        if marker == 0xFF:  # a fill byte
            return at + 1
        if marker == _END:
            return JpegEnd(at + 2, "end")
        if marker in _ALONE:
            return at + 2
        return self._step(at, head) if len(head) == 4 else None

    def _step(self, at: int, head: bytearray) -> int | JpegEnd:
        """Step over a segment whose marker and length are ``head``."""
        if head.startswith(START):
            return JpegEnd(at, "start")
        marker, length = head[1], int.from_bytes(head[2:], "big")
        if marker < _FIRST_IN_USE or marker == _START or length < 2:
            return self._break()
        if marker == _START_OF_SCAN:
            self._in_scan = self.has_scan = True
        return at + 2 + length

    def _break(self) -> int:
        self.is_broken = True
        return self._at

    def _search(self, data: bytearray) -> JpegEnd | None:
        found = _LOST_END.search(data, self._at)
        if found is None:
            self._at = max(self._at, len(data) - len(START))
            return None
        return JpegEnd(found.end(), "end") if found[0] == EOI else JpegEnd(found.start() + 1, "start")
