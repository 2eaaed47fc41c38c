"""Finds the images in a body of Motion JPEG, however badly the camera frames them.

The law: an image begins at a JPEG start marker and ends at its end marker. Part headers and boundaries are only advice:
cameras leave them out, double them, or state a wrong length or boundary. A stated length tells where an image ends that
lost its end marker, and what follows an image inside its part; it is believed where a new part follows.

What is found depends only on the bytes, not on how they are cut into pieces.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Literal, NamedTuple

from stream.sources.network.http.jpeg import EOI, START, JpegEnd, JpegWalk

LARGEST_PART = 32 << 20
"""Bytes. A JPEG file of 8K at the best quality has about 30 MB."""
LONGEST_HEAD = 64 << 10
"""Bytes before an image in which its part header is searched."""
LONGEST_BOUNDARY = 200
"""Bytes; RFC 2046 allows 70."""
MOST_MARKS = 64
"""Pieces whose arrival is remembered one by one."""

_BLANK_LINE = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,10})\s*$", re.I | re.M)
_TEXT = b"\t\r\n" + bytes(range(0x20, 0x7F))
_LONGEST_TEXT = 4096
"""Bytes before a start marker in which the part header is searched that ended a cut image."""


class FoundImage(NamedTuple):
    """One JPEG file out of the body."""

    data: bytes
    first_ns: int
    """Arrival of its first byte, as it was fed."""
    complete_ns: int
    """Arrival of its last byte, as it was fed."""
    damage: Literal["", "before", "inside"]
    """As in AccessUnit."""


class ImageFinder:
    """Bytes in, images out. ``boundary`` is the header's, with or without dashes, and may be empty or wrong."""

    def __init__(self, boundary: bytes = b"") -> None:
        token = boundary[:LONGEST_BOUNDARY].lstrip(b"-")
        self._part_starts = (b"--", b"Content-", b"content-", START, *([token] if token else []))
        self._look = 4 + max(map(len, self._part_starts))
        """Bytes after a stated end that show whether a new part follows."""
        self._data = bytearray()
        self._arrivals = _Arrivals()
        self._searched = 0
        self._skipped = 0
        self._walk: JpegWalk | None = None
        self._stated: int | None = None
        """Size of the current image by its part header."""
        self._rest = 0
        """Bytes of the part that follow the image by its part header."""
        self._lost = False

    def feed(self, data: bytes, first_ns: int, last_ns: int) -> list[FoundImage]:
        """The images that ``data`` completes. Raises ValueError, with a reason, if the body cannot be Motion JPEG."""
        self._data += data
        self._arrivals.add(len(data), first_ns, last_ns)
        found: list[FoundImage] = []
        while self._find_start() if self._walk is None else self._find_end(found):
            pass
        return found

    def _find_start(self) -> bool:
        if self._rest and not self._pass_rest():
            return False
        at = self._data.find(START, self._searched)
        if at < 0:
            self._searched = max(0, len(self._data) - len(START) + 1)
            self._forget()
            return False
        self._stated = _stated_size(bytes(self._data[max(0, at - LONGEST_HEAD) : at]))
        self._take(at)
        self._skipped, self._walk = 0, JpegWalk()
        return True

    def _pass_rest(self) -> bool:
        """Pass over what follows the image inside its part, such as a second JPEG file, unless the length was wrong."""
        if self._rest > 0:
            if self._rest <= self._look:
                self._rest = 0
                return True
            if len(self._data) < self._look:
                return False
            # From here on negative: it was looked at, and is to be passed over.
            self._rest = 0 if self._begins_part(0, START) else -self._rest
        passed = min(-self._rest, len(self._data))
        self._rest += passed
        self._take(passed)
        return self._rest == 0

    def _forget(self) -> None:
        """Keep no more of what is no image than a part header needs."""
        surplus = len(self._data) - LONGEST_HEAD
        if surplus <= 0:
            return
        self._take(surplus, searched=self._searched - surplus)
        self._skipped += surplus
        if self._skipped > LARGEST_PART:
            raise ValueError(f"no JPEG image among {LARGEST_PART >> 20} MB")

    def _find_end(self, found: list[FoundImage]) -> bool:
        assert self._walk is not None
        end = self._walk.end(self._data)
        if self._stated is not None:
            judged = self._judge_stated(self._stated, end)
            if judged == "wait":
                return self._within_bounds()
            if judged:
                return self._finish(found, self._stated, inside=judged == "cut")
        if end is None:
            return self._within_bounds()
        if end.kind == "start":
            self._stated = None
            return self._finish(found, self._end_of_cut(end.position), inside=True)
        return self._finish(found, end.position, inside=self._walk.is_broken)

    def _judge_stated(self, stated: int, end: JpegEnd | None) -> Literal["", "wait", "cut", "whole"]:
        """What the stated size says about the current image; empty: nothing, its markers tell."""
        assert self._walk is not None
        if end is not None and end.position <= stated + self._look and not self._walk.is_broken:
            return ""
        if len(self._data) < stated + self._look:
            return "wait"
        if self._begins_part(stated):
            return "whole" if self._data[stated - len(EOI) : stated] == EOI else "cut"
        self._stated = None  # a lie: the image goes on
        return ""

    def _begins_part(self, at: int, *but: bytes) -> bool:
        start = bytes(self._data[at : at + self._look]).lstrip(b"\r\n")
        return start.startswith(tuple(token for token in self._part_starts if token not in but))

    def _end_of_cut(self, next_start: int) -> int:
        """Where a cut image ends: before the part header, if there is one, of the image that begins ``next_start``."""
        before = bytes(self._data[max(0, next_start - _LONGEST_TEXT) : next_start])
        text = before[len(before.rstrip(_TEXT)) :]  # no regular expression: it would try each of 4096 line ends
        line_end = text.find(b"\n")
        if line_end < 0:
            return next_start
        return next_start - len(text) + line_end - text[:line_end].endswith(b"\r")

    def _within_bounds(self) -> bool:
        if len(self._data) > LARGEST_PART:
            raise ValueError(f"an image has no end within {LARGEST_PART >> 20} MB")
        return False

    def _finish(self, found: list[FoundImage], size: int, *, inside: bool) -> bool:
        assert self._walk is not None
        if self._walk.has_scan:
            damage: Literal["", "before", "inside"] = "inside" if inside else "before" if self._lost else ""
            first_ns, complete_ns = self._arrivals.of(size)
            found.append(FoundImage(bytes(memoryview(self._data)[:size]), first_ns, complete_ns, damage))
        self._lost = not self._walk.has_scan
        self._rest = max(0, (self._stated or 0) - size)
        self._walk = self._stated = None
        self._take(size)
        return True

    def _take(self, size: int, searched: int = 0) -> None:
        del self._data[:size]
        self._arrivals.take(size)
        self._searched = searched


class _Arrivals:
    """When the bytes of a growing buffer arrived."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int, int]] = deque()
        """Position after a piece, arrival of its first and of its last byte."""
        self._begin = self._end = 0

    def add(self, size: int, first_ns: int, last_ns: int) -> None:
        self._end += size
        if len(self._marks) >= MOST_MARKS:  # then the older arrival holds for both pieces
            first_ns = min(first_ns, self._marks.pop()[1])
        self._marks.append((self._end, first_ns, last_ns))

    def take(self, size: int) -> None:
        self._begin += size
        while self._marks and self._marks[0][0] <= self._begin:
            self._marks.popleft()

    def of(self, size: int) -> tuple[int, int]:
        """Arrival of the first and of the last of the oldest ``size`` bytes."""
        first_ns = self._marks[0][1]
        last_ns = next(mark[2] for mark in self._marks if mark[0] >= self._begin + size)
        return first_ns, max(first_ns, last_ns)


def _stated_size(head: bytes) -> int | None:
    """The size by the part header at the end of ``head``, which an image follows; None: there is no useful one."""
    ends = [match.end() for match in _BLANK_LINE.finditer(head)]
    if not ends:
        return None
    header = head[: ends[-1]].rstrip(b"\r\n")
    blanks = [match.end() for match in _BLANK_LINE.finditer(header)]
    lengths = _LENGTH.findall(header, blanks[-1] if blanks else 0)
    size = int(lengths[-1]) - (len(head) - ends[-1]) if lengths else 0
    return size if 0 < size <= LARGEST_PART else None
