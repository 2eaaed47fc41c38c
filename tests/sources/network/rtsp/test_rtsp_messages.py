"""The bytes of an RTSP connection: messages and packets, however they are cut and written, and whatever else comes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.sources.network.rtsp.messages import Incoming, Message, Packet, ProtocolError, answer, request

PACKET = b"$\2\0\5hello"
OK = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 4\r\nWWW-Authenticate: a\r\nwww-authenticate:b\r\n\r\nbody"


def received(data: bytes, chunk: int = 0) -> list[Packet | Message]:
    incoming, found = Incoming(), []
    for start in range(0, len(data), chunk or max(1, len(data))):
        part = data[start : start + (chunk or len(data))]
        for at in range(0, len(part), 60_000):
            piece = part[at : at + 60_000]
            incoming.room()[: len(piece)] = piece
            incoming.received(len(piece))
            found += [item._replace(data=memoryview(bytes(item.data))) if isinstance(item, Packet) else item
                      for item in incoming]  # fmt: skip
    return found


@pytest.mark.parametrize("chunk", [1, 3, 17, 0])
def test_messages_and_packets_mix(chunk: int) -> None:
    items = received(PACKET + OK + PACKET + b"\r\n" + PACKET + b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n" + PACKET, chunk)
    assert [type(item).__name__ for item in items] == ["Packet", "Message", "Packet", "Packet", "Message", "Packet"]
    message, asked = items[1], items[4]
    assert isinstance(message, Message)
    assert isinstance(asked, Message)
    assert (message.status, message.reason, message.sequence, message.body) == (200, "OK", 3, b"body")
    assert message.headers["www-authenticate"] == ["a", "b"]
    assert (asked.is_request, asked.reason, asked.sequence) == (True, "OPTIONS", 9)
    assert items[0] == Packet(2, memoryview(b"hello"))


@pytest.mark.parametrize(
    "head",
    [
        b"RTSP/1.0 200 OK\nCSeq: 3\n\n",
        b"RTSP/1.0 200\r\nCSEQ : 3\r\n\r\n",
        b"rtsp/1.0  200  Fine, really\r\ncseq:3\r\n\r\n",
        b"\r\n\r\nRTSP/2.0 200 OK\r\nCSeq: 3\r\nno colon\r\nContent-Length: many\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nX: \xff\xfe\r\nCSeq: 3\r\n\r\n",
    ],
)
def test_heads_are_read_as_cameras_write_them(head: bytes) -> None:
    (message,) = received(head)
    assert isinstance(message, Message)
    assert (message.status, message.sequence, message.body) == (200, 3, b"")


def test_rubbish_between_packets_is_skipped() -> None:
    items = received(b"\0\1\2\3" + PACKET + b"????" * 10 + OK + b"xyz\n" + PACKET, 1)
    assert [type(item).__name__ for item in items] == ["Packet", "Message", "Packet"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0" * 100_000, "no RTSP"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 10_000, "without an end"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "are allowed"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 9999999\r\n\r\n", "are allowed"),
    ],
)
def test_hostile_bytes_are_bounded(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        received(data)


def test_a_long_stream_needs_no_more_memory() -> None:
    items = received((b"$\0\xff\xff" + bytes(65_535)) * 20, 1000)
    assert len(items) == 20


def test_requests_cannot_be_split_by_what_a_camera_says() -> None:
    assert request("PLAY", "rtsp://h/", {"CSeq": "1"}) == b"PLAY rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    assert answer(3, "200 OK") == b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n"
    with pytest.raises(ValueError, match="line end"):
        request("PLAY", "rtsp://h/", {"Session": "1\r\nX: y"})


@given(st.lists(st.one_of(st.binary(max_size=50), st.sampled_from([PACKET, OK, b"RTSP/", b"$", b"\r\n"])), max_size=12))
def test_no_bytes_are_an_exception(parts: list[bytes]) -> None:
    """Other than ProtocolError."""
    for chunk in (0, 7):
        with suppress(ProtocolError):
            received(b"".join(parts), chunk)
