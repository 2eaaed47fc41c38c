"""The format of messages over ZeroMQ, without any sockets (docs/reference/wire.md describes it to readers).

This package exports what a reader needs; a sender also imports ``stream.wire.message`` (``pack_depth``, ``Sender``).
"""

from __future__ import annotations

from stream.wire.codes import Compression, Encoding, Flags, WireIntegrity, WireKind
from stream.wire.header import Header
from stream.wire.json_topics import parse_json
from stream.wire.message import Message, parse
from stream.wire.names import subscription

__all__ = [
    "Compression",
    "Encoding",
    "Flags",
    "Header",
    "Message",
    "WireIntegrity",
    "WireKind",
    "parse",
    "parse_json",
    "subscription",
]
