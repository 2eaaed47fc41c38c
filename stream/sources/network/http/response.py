"""The head of an HTTP answer, and its body without the transfer coding (RFC 9112), both within bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

LONGEST_HEAD = 64 << 10
"""Bytes."""
LONGEST_CHUNK_LINE = 4096
"""Bytes; it holds a number of at most 16 digits."""
_STATUS_LINE = re.compile(rb"HTTP/1\.(?P<minor>\d) +(?P<status>[1-5]\d\d)(?: [^\r\n]*)?\r?\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")
_PARAMETER = re.compile(r""";\s*(?P<name>[\w-]+)\s*=\s*(?:"(?P<quoted>[^"]*)"?|(?P<plain>[^;]*))""")


@dataclass(frozen=True)
class Head:
    """The head of an answer."""

    status: int
    is_1_0: bool
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order of the answer."""

    @classmethod
    def cut_from(cls, data: bytearray) -> Head | None:
        """Take a head from the front of ``data``; None: it is not complete yet.

        Raises ValueError, with a reason, if it is none.
        """
        _check_begin(data)
        blank = _BLANK_LINE.search(data, 0, LONGEST_HEAD)
        if blank is None:
            if len(data) >= LONGEST_HEAD:
                raise ValueError(f"its head is longer than {LONGEST_HEAD >> 10} kB")
            return None
        found = _STATUS_LINE.match(data)
        if found is None:
            raise ValueError("its first line is no status line of HTTP")
        lines = bytes(data[found.end() : blank.start()]).decode("latin-1").splitlines()
        head = cls(int(found["status"]), found["minor"] == b"0", tuple(_headers(lines)))
        del data[: blank.end()]
        return head

    def all(self, name: str) -> list[str]:
        """The values of every header ``name``, in lower case."""
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str:
        """The first value of header ``name``, in lower case; empty if there is none."""
        return next(iter(self.all(name)), "")

    @property
    def media_type(self) -> str:
        """Type and subtype in lower case, such as ``image/jpeg``; empty if it states none."""
        return self.get("content-type").partition(";")[0].strip().lower()

    @property
    def boundary(self) -> str:
        """The boundary of a multipart body; empty if it states none."""
        for found in _PARAMETER.finditer(self.get("content-type")):
            if found["name"].lower() == "boundary":
                return (found["quoted"] if found["quoted"] is not None else found["plain"]).strip()
        return ""

    @property
    def is_chunked(self) -> bool:
        return "chunked" in ",".join(self.all("transfer-encoding")).lower()

    @property
    def length(self) -> int | None:
        """Size of the body, bytes; None: it ends with the connection. Raises ValueError if it makes no sense."""
        text = self.get("content-length")
        if not text:
            return None
        if not re.fullmatch(r"\d{1,18}", text):
            raise ValueError("its Content-Length is no number")
        return int(text)

    @property
    def keeps_connection(self) -> bool:
        """Another request may follow on the same connection."""
        options = ",".join(self.all("connection")).lower()
        return "keep-alive" in options if self.is_1_0 else "close" not in options


class PlainBody:
    """A body of ``size`` bytes, or one that ends with the connection."""

    def __init__(self, size: int | None) -> None:
        self._left = size
        self.has_end = size is not None

    @property
    def is_over(self) -> bool:
        return self._left == 0

    def decode(self, data: bytes) -> bytes:
        """The part of the body in ``data``."""
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        return data


class ChunkedBody:
    """A body in chunks (RFC 9112, 7.1)."""

    def __init__(self) -> None:
        self.has_end = True
        self._data = bytearray()
        self._expected: Literal["size", "content", "line end", "trailer", "nothing"] = "size"
        self._left = 0

    @property
    def is_over(self) -> bool:
        return self._expected == "nothing"

    def decode(self, data: bytes) -> bytes:
        """The part of the body in ``data``. Raises ValueError, with a reason, if the chunks make no sense."""
        self._data += data
        content = bytearray()
        while self._step(content):
            pass
        return bytes(content)

    def _step(self, content: bytearray) -> bool:
        if self._expected == "content":
            return self._content(content)
        if self.is_over:
            return False
        end = self._data.find(b"\n", 0, LONGEST_CHUNK_LINE)
        if end < 0:
            if len(self._data) >= LONGEST_CHUNK_LINE:
                raise ValueError("its chunks make no sense")
            return False
        line = bytes(self._data[: end + 1])
        del self._data[: end + 1]
        self._line(line)
        return True

    def _content(self, content: bytearray) -> bool:
        part = self._data[: self._left]
        content += part
        del self._data[: len(part)]
        self._left -= len(part)
        if self._left == 0:
            self._expected = "line end"
        return bool(part)

    def _line(self, line: bytes) -> None:
        is_blank = not line.strip()
        if self._expected == "size":
            found = _CHUNK_SIZE.fullmatch(line)
            if found is None:
                raise ValueError("its chunks make no sense")
            self._left = int(found[1], 16)
            self._expected = "content" if self._left else "trailer"
        elif self._expected == "line end":
            if not is_blank:
                raise ValueError("its chunks make no sense")
            self._expected = "size"
        elif is_blank:
            self._expected = "nothing"


def _check_begin(data: bytearray) -> None:
    """Raises ValueError if no answer of HTTP can begin with ``data``."""
    begin = bytes(data[:5])
    if begin == b"HTTP/"[: len(begin)]:
        return
    if begin[:4] in (b"RTSP", b"ICY "):
        raise ValueError(f"it speaks {begin[:4].decode().strip()}, not HTTP; check the beginning of the address")
    if begin[:2] in (b"\x15\x03", b"\x16\x03"):
        raise ValueError("the port speaks TLS; begin the address with https://")
    raise ValueError("what it sends is not HTTP/1.0 or 1.1; check the port")


def _headers(lines: list[str]) -> list[tuple[str, str]]:
    """Lines that are no headers are left out; a line that begins with a space continues the one before."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and found:
            name, value = found[-1]
            found[-1] = (name, f"{value} {line.strip()}".strip())
        elif ":" in line:
            name, _, value = line.partition(":")
            found.append((name.strip().lower(), value.strip()))
    return found
