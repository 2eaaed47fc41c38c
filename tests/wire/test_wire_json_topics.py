"""info/ and status/: small JSON objects behind 64 bytes of topic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import WireError
from stream.wire.json_topics import LARGEST_JSON_BYTES, pack_json, parse_json
from stream.wire.message import topic_bytes

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10)


@pytest.mark.slow
@given(st.dictionaries(TEXT, VALUES))
def test_whatever_json_knows_comes_back(data: dict[str, Any]) -> None:
    assert parse_json(pack_json("status/cam0", data)) == ("status/cam0", data)


def test_the_message_is_topic_and_json() -> None:
    message = pack_json("info/cam0", {"stream": "Tür"})
    assert message[:64] == topic_bytes("info/cam0")
    assert message[64:] == '{"stream":"Tür"}'.encode()


@pytest.mark.parametrize(
    "data",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": object()}, {"a": b"x"}, {"a": "\ud800"}, {("a",): 1}],
    ids=["nan", "infinity", "object", "bytes", "lone surrogate", "tuple as key"],
)
def test_what_json_does_not_know_is_not_sent(data: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="info/cam0"):
        pack_json("info/cam0", data)


def test_a_circle_is_not_sent() -> None:
    data: dict[str, Any] = {}
    data["self"] = data
    with pytest.raises(WireError, match="info/cam0"):
        pack_json("info/cam0", data)


def test_a_megabyte_is_the_most() -> None:
    """1 MiB of JSON is the limit in both directions."""
    room = LARGEST_JSON_BYTES - len('{"a":""}')
    assert parse_json(pack_json("info/a", {"a": "x" * room}))[1]["a"] == "x" * room
    with pytest.raises(WireError, match="1048577"):
        pack_json("info/a", {"a": "x" * (room + 1)})
    with pytest.raises(WireError, match="1 MiB"):
        parse_json(topic_bytes("info/a") + b'{"a":"' + b"x" * room + b'x"}')


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b"1",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":1}x',
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        parse_json(topic_bytes("info/cam0") + text)


@pytest.mark.parametrize("topic", [bytes(64), b"x" * 64, b"info/\xff".ljust(64, b"\0"), b"info/a\0b".ljust(64, b"\0")])
def test_a_damaged_topic_is_refused(topic: bytes) -> None:
    with pytest.raises(WireError):
        parse_json(topic + b"{}")


@given(st.binary(max_size=200))
def test_random_bytes_raise_our_error_only(raw: bytes) -> None:
    for message in (raw, topic_bytes("info/a") + raw):
        try:
            topic, data = parse_json(message)
        except WireError:
            continue
        assert (topic, type(data)) == ("info/a", dict)
