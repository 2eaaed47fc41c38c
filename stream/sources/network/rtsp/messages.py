"""The bytes of an RTSP connection (RFC 2326): requests, answers, and media packets between them. No sockets.

Cameras are read as they are: lines may end in LF alone, reasons and spaces may be missing, names may have any case, and
bytes that are neither a message nor a packet are skipped. Everything is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DOLLAR = 0x24
"""First byte of a media packet inside the connection (section 10.12)."""
LONGEST_HEAD = 32 * 1024
LONGEST_BODY = 128 * 1024
MOST_RUBBISH = 64 * 1024
"""Bytes in a row that are neither message nor packet."""
READ_BYTES = 64 * 1024
CAPACITY = LONGEST_HEAD + LONGEST_BODY + READ_BYTES

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"RTSP/\d+\.?\d*[ \t]+(\d{3})[ \t]*([^\r\n]*)", re.I)
_REQUEST_LINE = re.compile(rb"([A-Z_]{3,20}) \S+ +RTSP/", re.I)
_TEXT = re.compile(rb"[a-z][\x20-\x7e]{0,254}\r?", re.I)
_RESTART = re.compile(rb"\$|RTSP/", re.I)


class ProtocolError(Exception):
    """The peer does not speak RTSP as anyone could understand it; the message says why."""


class Packet(NamedTuple):
    """A media packet inside the connection."""

    channel: int
    data: memoryview
    """Valid until more bytes are received."""


@dataclass(frozen=True)
class Message:
    """A camera's answer, or a request of its own."""

    status: int
    """0 for a request."""
    reason: str
    """The camera's own words; a request's method."""
    headers: Mapping[str, Sequence[str]]
    """Values by lower-case name."""
    body: bytes = b""

    def get(self, name: str) -> str:
        """The first value of a header; empty if it is missing."""
        return next(iter(self.headers.get(name, ())), "")

    @property
    def is_request(self) -> bool:
        return self.status == 0

    @property
    def sequence(self) -> int | None:
        """``CSeq``; None if it makes no sense."""
        text = self.get("cseq").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def request(method: str, uri: str, headers: Mapping[str, str]) -> bytes:
    """A request as bytes. ``uri`` and the values must have no line ends: ValueError."""
    return _message(f"{method} {uri} RTSP/1.0", headers)


def answer(sequence: int, status: str) -> bytes:
    """An answer to a camera's request; ``status``: such as ``200 OK``."""
    return _message(f"RTSP/1.0 {status}", {"CSeq": str(sequence)})


def _message(first: str, headers: Mapping[str, str]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a line end inside a request")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Incoming:
    """Received bytes in one buffer, from which packets are taken without a copy."""

    def __init__(self) -> None:
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._rubbish = 0

    def room(self) -> memoryview:
        """Where READ_BYTES can be received; packets taken before become invalid."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end + READ_BYTES > CAPACITY:
            waiting = self._end - self._start
            self._buffer[:waiting] = self._buffer[self._start : self._end]
            self._start, self._end = 0, waiting
        return self._view[self._end : self._end + READ_BYTES]

    def received(self, count: int) -> None:
        """``count`` bytes are now in ``room``."""
        self._end += count

    def __iter__(self) -> Iterator[Packet | Message]:
        """Everything that is complete; raises ProtocolError."""
        buffer, view = self._buffer, self._view
        while self._end - self._start >= 4:
            at = self._start
            if buffer[at] == DOLLAR:
                stop = at + 4 + (buffer[at + 2] << 8 | buffer[at + 3])
                if stop > self._end:
                    return
                self._start = stop
                self._rubbish = 0
                yield Packet(buffer[at + 1], view[at + 4 : stop])
            elif (message := self._message()) is not None:
                self._rubbish = 0
                yield message
            elif self._start == at:
                return

    def _message(self) -> Message | None:
        """The message at the start; None if it is incomplete, or if only rubbish was skipped."""
        head = bytes(self._view[self._start : min(self._end, self._start + LONGEST_HEAD)])
        kind = _STATUS_LINE.match(head) or _REQUEST_LINE.match(head)
        if kind is None:
            if not _may_begin_a_message(head):
                self._skip(head)
            return None
        end = _END_OF_HEAD.search(head)
        if end is None:
            if len(head) == LONGEST_HEAD:
                raise ProtocolError(f"a message without an end in {LONGEST_HEAD // 1024} kB")
            return None
        headers = _headers(head[kind.end() : end.start()])
        length = _length(headers)
        stop = self._start + end.end() + length
        if stop > self._end:
            return None
        body = bytes(self._view[stop - length : stop])
        self._start = stop
        words = [word.decode(errors="replace") for word in kind.groups()]
        if len(words) == 1:
            return Message(0, words[0].upper(), headers, body)
        return Message(int(words[0]), words[1].strip()[:80], headers, body)

    def _skip(self, head: bytes) -> None:
        """Leave out what cannot be the beginning of a message, up to the next possible one."""
        if head[:5] == b"HTTP/":
            raise ProtocolError("it speaks HTTP, not RTSP")
        following = _RESTART.search(head, 1)
        # Four bytes may be the beginning of the next "RTSP/".
        count = following.start() if following else max(1, len(head) - 4)
        self._start += count
        self._rubbish += count
        if self._rubbish > MOST_RUBBISH:
            raise ProtocolError("what comes from there is no RTSP")


def _may_begin_a_message(head: bytes) -> bool:
    """Whether the first line is incomplete, and text up to here."""
    return _TEXT.fullmatch(head) is not None and head[:5] != b"HTTP/"


def _headers(lines: bytes) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for line in lines.decode(errors="replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    return headers


def _length(headers: Mapping[str, Sequence[str]]) -> int:
    text = next(iter(headers.get("content-length", ())), "")
    if not (text.isascii() and text.isdigit()):
        return 0
    if len(text) > 9 or int(text) > LONGEST_BODY:
        raise ProtocolError(f"a message of {text[:20]} bytes; {LONGEST_BODY} are allowed")
    return int(text)
