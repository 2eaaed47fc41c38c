"""Text fields of a message (fixed length, padded with NUL), and the subscription that matches a topic."""

from __future__ import annotations

import re

from stream.errors import WireError

TOPIC_BYTES, FRAME_ID_BYTES, ROS_ENCODING_BYTES = 64, 32, 16
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
"""Control characters: names end up in log lines and on terminals, which would execute these instead of showing them."""


def topic_bytes(topic: str) -> bytes:
    """The 64 bytes with which every message of ``topic`` begins. Raises WireError if it is empty or does not fit."""
    if not topic:
        raise WireError('a message needs a topic, as in "depth/cam0"; got an empty one')
    return padded(topic, TOPIC_BYTES, "topic")


def subscription(topic: str) -> bytes:
    """The prefix that subscribes to ``topic`` and no other: with its NUL, depth/cam1 does not match depth/cam10."""
    return topic_bytes(topic).rstrip(b"\0") + b"\0"


def padded(text: str, length: int, field: str) -> bytes:
    """``text`` in UTF-8, padded with at least one NUL to ``length`` bytes. Raises WireError if it does not fit."""
    if CONTROL.search(text):
        raise WireError(f"{field} {text!r} has a NUL or another control character in it; leave it out")
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise WireError(f"{field} {text!r} is not valid Unicode: {error.reason}") from error
    if len(raw) >= length:
        raise WireError(f"{field} {text!r} has {len(raw)} bytes of UTF-8; at most {length - 1} fit")
    return raw.ljust(length, b"\0")


def unpadded(raw: bytes, field: str) -> str:
    """The inverse of ``padded``. Raises WireError for bytes that ``padded`` never produces."""
    name, _, rest = raw.partition(b"\0")
    if len(name) == len(raw) or rest.strip(b"\0"):
        raise WireError(f"{field} {raw!r} is not padded with NUL to its {len(raw)} bytes")
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise WireError(f"{field} {name!r} is not UTF-8") from error
    if CONTROL.search(text):
        raise WireError(f"{field} {text!r} has a control character in it")
    return text


def shortened(text: str, length: int) -> str:
    """``text`` cut between two characters so that it fits a field of ``length`` bytes."""
    return text.encode(errors="replace")[: length - 1].decode(errors="ignore")
