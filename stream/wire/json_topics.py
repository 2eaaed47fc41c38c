"""JSON topics (info, status, objects): 64 bytes of topic, then a JSON object in UTF-8, in one part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from stream.errors import WireError
from stream.wire.names import TOPIC_BYTES, topic_bytes, unpadded

LARGEST_JSON_BYTES = 1 << 20
"""Limit of the JSON text, without the topic."""


def pack_json(topic: str, data: Mapping[str, Any]) -> bytes:
    """A whole message. Raises WireError for values without a JSON form (NaN and infinity too), and above 1 MiB."""
    try:
        text = json.dumps(dict(data), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"{topic}: this cannot be sent as JSON: {error}") from error
    if len(text) > LARGEST_JSON_BYTES:
        raise WireError(f"{topic}: {len(text)} bytes of JSON; at most {LARGEST_JSON_BYTES} are sent")
    return topic_bytes(topic) + text


def parse_json(message: bytes | memoryview) -> tuple[str, dict[str, Any]]:
    """Topic and data of a message. Raises WireError, and nothing else, for bytes that are not such a message."""
    view = memoryview(message)
    if not TOPIC_BYTES < view.nbytes <= TOPIC_BYTES + LARGEST_JSON_BYTES:
        raise WireError(f"a JSON message of {view.nbytes} bytes; {TOPIC_BYTES} of topic and 1 MiB of JSON are the most")
    raw = view.tobytes()
    topic = unpadded(raw[:TOPIC_BYTES], "topic")
    try:
        # Python reads NaN and Infinity, which JSON does not have (RFC 8259).
        data = json.loads(raw[TOPIC_BYTES:].decode(), parse_constant=_refuse)
        json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair could be neither printed nor stored
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested lists
        raise WireError(f"{topic}: this is not JSON: {error}") from error
    if not topic or not isinstance(data, dict):
        raise WireError(f"{topic or 'a message without a topic'}: {type(data).__name__} instead of a JSON object")
    return topic, data


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")
