"""Heads and bodies of answers from any bytes: decoded alike in any pieces, or refused with ValueError."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.sources.network.http.address import Address
from stream.sources.network.http.response import ChunkedBody, Head, PlainBody

LINES = [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 401\n", b"Content-Type: image/jpeg\r\n", b"Content-Length: 5\r\n", b"\r\n"]
LINES += [b"Transfer-Encoding: chunked\r\n", b" more\r\n", b":\r\n", b"no colon\r\n", b"\xff\x00:\x80\r\n", b"\n"]


@given(st.lists(st.sampled_from(LINES) | st.binary(max_size=20), max_size=8))
def test_any_bytes_are_a_head_or_none(lines: list[bytes]) -> None:
    data = bytearray(b"HTTP/1.1 200 OK\r\n" + b"".join(lines))
    with suppress(ValueError):
        head = Head.cut_from(data)
        if head is not None:
            assert (head.media_type, head.boundary, head.is_chunked, head.keeps_connection) is not None
            assert head.length is None or head.length >= 0


def coded(parts: list[bytes]) -> bytes:
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts if part) + b"0\r\nX: 1\r\n\r\n"


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 9))
def test_chunks_are_decoded_alike_in_any_pieces(parts: list[bytes], step: int) -> None:
    body, data = ChunkedBody(), coded(parts)
    decoded = b"".join(body.decode(data[at : at + step]) for at in range(0, len(data), step))
    assert decoded == b"".join(parts)
    assert body.is_over


@given(st.binary(max_size=200))
def test_any_bytes_are_chunks_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        ChunkedBody().decode(data)


def test_a_plain_body_ends_with_its_size() -> None:
    body = PlainBody(5)
    assert (body.decode(b"abc"), body.is_over) == (b"abc", False)
    assert (body.decode(b"defg"), body.is_over) == (b"de", True)


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "header"),
    [
        ("http://cam", "cam", 80, "/", "cam"),
        ("https://cam/x?y=1#z", "cam", 443, "/x?y=1", "cam"),
        ("http://[::1]:8080/a", "::1", 8080, "/a", "[::1]:8080"),
        ("http://bücher.example/ä b", "xn--bcher-kva.example", 80, "/%C3%A4%20b", "xn--bcher-kva.example"),
        ("http://cam_1:81?a@b", "cam_1", 81, "/?a@b", "cam_1:81"),
    ],
)
def test_an_address_has_its_parts(url: str, host: str, port: int, target: str, header: str) -> None:
    address = Address.parse(url)
    assert (address.host, address.port, address.target, address.host_header) == (host, port, target, header)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert Address.parse(f"http://{text}").target.isascii()


def test_an_address_keeps_its_secrets_to_itself() -> None:
    address = Address.parse("http://admin:geheim77@cam/x")
    assert (address.user, address.password) == ("admin", "geheim77")
    assert "geheim77" not in repr(address)
