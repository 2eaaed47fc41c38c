"""What an HTTP address is taken for, by its status, its header and its first bytes; and one clear error otherwise."""

from __future__ import annotations

import socket
from time import monotonic

import pytest

from stream.errors import AccessDenied, SourceError
from stream.sources.network.http.multipart_reader import MultipartReader
from stream.sources.network.http.opening import open_http
from stream.sources.network.http.snapshot_reader import SnapshotReader
from stream.sources.network.url import CameraUrl
from tests.sources.network.http.http_camera import (
    PATIENCE_S,
    Exchange,
    Handler,
    HttpCamera,
    always,
    answer,
    http_settings,
    number_of,
    numbered_jpeg,
    opened,
    part,
    stream_head,
    units,
)

A, B = numbered_jpeg(1), numbered_jpeg(2)
JPEGS = part(A) + part(B)


def failure(camera: HttpCamera, path: str = "/", **settings: object) -> SourceError:
    url = camera.url(path)
    with pytest.raises(SourceError) as caught:
        open_http(http_settings(url, **settings), CameraUrl(url))
    assert "\n" not in str(caught.value)
    return caught.value


STREAMS = {
    "as most": stream_head() + JPEGS,
    "quoted boundary": answer(kind='multipart/x-mixed-replace; boundary="image"', length=False) + JPEGS,
    "no boundary": answer(kind="multipart/x-mixed-replace", length=False) + JPEGS,
    "another multipart": answer(kind="Multipart/Mixed;boundary=image", length=False) + JPEGS,
    "a length of zero": stream_head()[:-2] + b"Content-Length: 0\r\n\r\n" + JPEGS,
    "no type": answer(kind="", length=False) + JPEGS,
    "a wrong type": answer(kind="text/html", length=False) + b"\r\n" + JPEGS,
    "no first boundary": answer(kind="text/plain", length=False) + JPEGS[9:],
    "images in a row": answer(kind="application/octet-stream", length=False) + A + B,
    "an image that goes on": answer(length=False) + A + b"\r\n" + part(B),
    "HTTP/1.0": stream_head().replace(b"1.1", b"1.0") + JPEGS,
    "line feeds": stream_head().replace(b"\r\n", b"\n") + JPEGS,
    "no reason": stream_head().replace(b" OK", b"") + JPEGS,
    "continued and odd headers": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Type:\r\n multipart/x; boundary=image\r\n\r\n"
    + JPEGS,
    "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" + stream_head() + JPEGS,
}


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS)
def test_motion_jpeg_is_recognised(data: bytes) -> None:
    with HttpCamera({"/": always(data, hold=True)}) as camera, opened(camera.url("/")) as reader:
        assert isinstance(reader, MultipartReader)
        assert [unit.data for unit in units(reader, 2)] == [A, B]


def test_a_reader_says_what_it_is() -> None:
    with HttpCamera({"/": always(stream_head(), hold=True)}) as camera, opened(camera.url("/")) as reader:
        assert (reader.codec, reader.time_line, reader.is_recording) == ("mjpeg", "none", False)
        assert (reader.extradata, reader.size, reader.stated_fps) == (b"", None, 0)


@pytest.mark.slow
def test_an_image_whose_answer_stays_open_begins_a_stream() -> None:
    """It may come once in many seconds; it is delivered before the second one."""
    data = answer(length=False) + A
    with HttpCamera({"/": always(data, hold=True)}) as camera, opened(camera.url("/")) as reader:
        assert isinstance(reader, MultipartReader)
        assert [unit.data for unit in units(reader, 1)] == [A]


SNAPSHOTS = {
    "as most": (answer(A), "mjpeg"),
    "a wrong type": (answer(A, "text/plain"), "mjpeg"),
    "no type": (answer(A, ""), "mjpeg"),
    "ends with the connection": (answer(A, length=False), "mjpeg"),
    "two pictures in one file": (answer(A + B), "mjpeg"),
    "cut": (answer(A[:-300], length=False), "mjpeg"),
    "chunked": (
        answer(b"", "image/jpeg", "200 OK", "Transfer-Encoding: chunked", length=False)
        + f"{len(A):x}\r\n".encode()
        + A
        + b"\r\n0\r\n\r\n",
        "mjpeg",
    ),
    "PNG": (answer(b"\x89PNG\r\n\x1a\n" + bytes(50), "image/png"), "png"),
    "BMP": (answer(b"BM" + bytes(50), "image/bmp"), "bmp"),
    "WebP": (answer(b"RIFF\0\0\0\0WEBP" + bytes(50), "image/webp"), "webp"),
}


@pytest.mark.parametrize(("data", "codec"), SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_snapshot_is_recognised(data: bytes, codec: str) -> None:
    with HttpCamera({"/": always(data)}) as camera, opened(camera.url("/"), fps=50) as reader:
        assert isinstance(reader, SnapshotReader)
        assert (reader.codec, reader.time_line, reader.is_recording) == (codec, "polled", False)
        assert len(units(reader, 1)) == 1


OTHERS = {
    "MPEG-TS": answer(b"G" + bytes(187), "video/mp2t"),
    "HLS": answer(b"#EXTM3U\n#EXT-X-VERSION:3\n", "application/vnd.apple.mpegurl"),
    "HLS as text": answer(b"\xef\xbb\xbf#EXTM3U\n#EXT-X-VERSION:3\n", "text/plain"),
    "DASH": answer(b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash">', "application/dash+xml"),
    "MP4": answer(b"\0\0\0\x20ftypisom" + bytes(50), "video/mp4"),
    "FLV": answer(b"FLV\x01" + bytes(50), "video/x-flv"),
    "unknown": answer(bytes(100), "application/octet-stream"),
    "few bytes": answer(b"G", ""),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_ffmpeg_may_know_is_left_to_it(data: bytes) -> None:
    with HttpCamera({"/": always(data)}) as camera:
        url = camera.url("/")
        assert open_http(http_settings(url), CameraUrl(url)) is None


PAGES = {
    "login page": (answer(b"<html>Please log in</html>", "text/html; charset=utf-8"), "text/html"),
    "page without a type": (answer(b"\r\n<!DOCTYPE html><html></html>", ""), "without a type"),
    "JSON": (answer(b'{"error": "no channel"}', "application/json"), "application/json"),
    "text": (answer(b"Error: bad channel", "text/plain"), "text/plain"),
}


@pytest.mark.parametrize(("data", "kind"), PAGES.values(), ids=PAGES)
def test_a_web_page_is_called_one(data: bytes, kind: str) -> None:
    with HttpCamera({"/": always(data)}) as camera:
        error = str(failure(camera))
    assert f"a web page or text came ({kind})" in error
    assert "login page" in error


@pytest.mark.parametrize("data", [answer(), answer(kind="", status="204 No Content"), answer(kind="", length=False)])
def test_an_answer_with_nothing_is_an_error(data: bytes) -> None:
    with HttpCamera({"/": always(data)}) as camera:
        assert "answered with nothing" in str(failure(camera))


def test_an_image_of_another_kind_is_named() -> None:
    with HttpCamera({"/": always(answer(b"GIF89a" + bytes(50), "image/gif"))}) as camera:
        assert "set the camera to JPEG" in str(failure(camera))


STATUSES = {
    400: "does not understand",
    404: "knows no such path",
    406: "no kind of image",
    410: "no longer has this path",
    418: "refuses the request (418)",
    429: "too many viewers",
    500: "fault of its own (500)",
    502: "gateway",
    503: "busy or starting",
    504: "gateway",
    505: "too old",
    599: "fault of its own (599)",
    304: "answers oddly (304)",
}


@pytest.mark.parametrize(("status", "meaning"), STATUSES.items())
def test_every_status_has_its_meaning(status: int, meaning: str) -> None:
    with HttpCamera({"/": always(answer(b"<html>", "text/html", f"{status} Reason"))}) as camera:
        error = failure(camera)
    assert meaning in str(error)
    assert str(status) in str(error)
    assert not isinstance(error, AccessDenied)


NO_HTTP = {
    "HTTP/0.9": (A, "not HTTP/1.0 or 1.1"),
    "a bare boundary": (JPEGS, "not HTTP/1.0 or 1.1"),
    "RTSP": (b"RTSP/1.0 400 Bad Request\r\n\r\n", "speaks RTSP"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "begin the address with https://"),
    "an odd status": (b"HTTP/1.1 OK\r\n\r\n", "no status line"),
    "another version": (b"HTTP/3.0 200 OK\r\n\r\n", "no status line"),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "longer than 64 kB"),
    "an odd length": (answer(A, "image/jpeg", "200 OK", "Content-Length: lots", length=False), "Content-Length"),
    "odd chunks": (answer(A, "image/jpeg", "200 OK", "Transfer-Encoding: chunked", length=False), "chunks"),
    "only 1xx": (b"HTTP/1.1 102 Processing\r\n\r\n" * 50, "more will follow"),
    "nothing": (b"", "without an answer"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Ty", "without an answer"),
}


@pytest.mark.parametrize(("data", "meaning"), NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_gets_one_clear_error(data: bytes, meaning: str) -> None:
    with HttpCamera({"/": always(data)}) as camera:
        assert meaning in str(failure(camera))


def test_a_closed_port_and_an_unknown_host_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for url, meaning in (
        (f"http://127.0.0.1:{port}/", "connection refused"),
        ("http://camera.invalid/", "host is unknown"),
        ("http://127.0.0.1:99999/", "makes no sense"),
        ("http:///path", "has no host"),
        (f"http://{'a' * 70}.example/", "makes no sense"),
    ):
        with pytest.raises(SourceError, match=meaning):
            open_http(http_settings(url), CameraUrl(url))


def drip(exchange: Exchange) -> None:
    """A head that grows and never ends."""
    exchange.send(b"HTTP/1.1 200 OK\r\nX: ")
    while not exchange.over.wait(0.02):
        exchange.send(b"x")


@pytest.mark.parametrize("handler", [Exchange.hold, drip], ids=["silent", "dripping"])
def test_opening_is_bounded(handler: Handler) -> None:
    started = monotonic()
    with HttpCamera({"/": handler}) as camera:
        assert "no answer in 0.5 s" in str(failure(camera, open_s=0.5))
    assert monotonic() - started < PATIENCE_S


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", A[:500]], ids=["nothing", "half an image"])
def test_opening_is_bounded_after_the_head_too(body: bytes) -> None:
    with HttpCamera({"/": always(answer(length=False) + body, hold=True)}) as camera:
        assert "sent too little in 1 s" in str(failure(camera, open_s=1.0))


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with HttpCamera({"/": always(answer(A))}) as camera, opened(camera.url("/")) as reader:
        assert number_of(units(reader, 1)[0].data) == 1


def test_no_character_of_the_path_breaks_the_request() -> None:
    with HttpCamera({"/a%20b%0Dc": always(answer(A)), "/": always(answer(A))}) as camera:
        for path in ("/a b%0Dc?x=1&y=[2]", "?mail=a@b", ""):
            with opened(camera.url(path)):
                pass
        assert [request.target for request in camera.requests] == ["/a%20b%0Dc?x=1&y=[2]", "/?mail=a@b", "/"]
        assert camera.requests[0].headers["host"] == f"127.0.0.1:{camera.port}"
