"""RTSP 1.0 messages (RFC 2326): parses requests from a byte stream and formats answers, without sockets."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

INTERLEAVED = b"$"
LONGEST_REQUEST_BYTES = 64 * 1024
REASONS = {
    451: "Parameter Not Understood",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid In This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    551: "Option not supported",
}
"""Reasons for status codes that HTTP does not have."""


class BadRequest(ValueError):
    """The bytes are no RTSP request; the connection cannot go on."""


@dataclass(frozen=True)
class Request:
    """A client's request."""

    method: str
    url: str
    """The URL as sent, with its query; never with credentials."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers with lower-case names."""

    @property
    def target(self) -> str:
        """The URL's path and query, without a slash at the end: ``/cam/track0``."""
        parts = urlsplit(self.url)
        return (parts.path + (f"?{parts.query}" if parts.query else "")).rstrip("/")

    def answer(self, status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
        """An answer to this request, as bytes."""
        reason = REASONS.get(status) or (HTTPStatus(status).phrase if status in list(HTTPStatus) else "Unknown")
        fields = {"CSeq": self.headers.get("cseq", "0"), "Server": "depthstream test camera", **(headers or {})}
        if body:
            fields["Content-Length"] = str(len(body))
        lines = [f"RTSP/1.0 {status} {reason}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode() + body


class RequestReader:
    """Parses requests from received bytes and skips interleaved data (RTCP receiver reports)."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[Request]:
        """The requests that ``data`` completes; raises BadRequest."""
        self._waiting += data
        while (length := self._message_length()) is not None:
            message = bytes(self._waiting[:length])
            del self._waiting[:length]
            if not message.startswith(INTERLEAVED):
                yield _parsed(message)

    def _message_length(self) -> int | None:
        """Length of the first message in bytes; None while it is incomplete."""
        if self._waiting.startswith(INTERLEAVED):
            length = 4 + struct.unpack_from("!H", self._waiting, 2)[0] if len(self._waiting) >= 4 else None
        else:
            length = self._request_length()
        return length if length is not None and length <= len(self._waiting) else None

    def _request_length(self) -> int | None:
        end = self._waiting.find(b"\r\n\r\n")
        if end < 0:
            if len(self._waiting) > LONGEST_REQUEST_BYTES:
                raise BadRequest(f"no end of a request in {len(self._waiting)} bytes")
            return None
        head = _parsed(bytes(self._waiting[: end + 4]))
        return end + 4 + _number(head.headers.get("content-length", "0"))


def _parsed(message: bytes) -> Request:
    head, _, _ = message.partition(b"\r\n\r\n")
    first, *rest = head.decode(errors="replace").split("\r\n")
    parts = first.split()
    if len(parts) != 3 or not parts[2].startswith("RTSP/"):
        raise BadRequest(f"not an RTSP request: {first[:80]!r}")
    pairs = (line.partition(":") for line in rest)
    return Request(parts[0], parts[1], {name.strip().lower(): value.strip() for name, _, value in pairs})


def _number(text: str) -> int:
    if not text.isdigit() or int(text) > LONGEST_REQUEST_BYTES:
        raise BadRequest(f"not a length: {text[:80]!r}")
    return int(text)
