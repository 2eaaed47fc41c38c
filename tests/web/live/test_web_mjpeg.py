"""Motion JPEG over real sockets, as an <img> or a recorder reads it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from stream.web.live import mjpeg, session
from stream.web.live.mjpeg import BOUNDARY
from tests.web.web_client import PATIENCE_S, WebClient, eventually


@contextmanager
def stream(port: int, target: str, receive_bytes: int | None = None) -> Iterator[HTTPResponse]:
    """The answer to GET ``target``; ``receive_bytes``: size of the kernel's receive buffer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    if receive_bytes is not None:
        connection.sock = socket.socket()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.sock.settimeout(PATIENCE_S)
        connection.sock.connect(("127.0.0.1", port))
    connection.request("GET", target)
    with connection.getresponse() as response:
        yield response
    connection.close()


def next_jpeg(response: HTTPResponse) -> bytes:
    """One part, read by its own Content-Length up to the boundary that ends it."""
    head = {}
    while (line := response.readline().decode().strip()) or not head:
        if line and line != f"--{BOUNDARY}":
            name, _, value = line.partition(": ")
            head[name] = value
    assert head["Content-Type"] == "image/jpeg"
    jpeg = response.read(int(head["Content-Length"]))
    assert response.readline() == b"\r\n"
    assert response.readline() == f"--{BOUNDARY}\r\n".encode(), "browsers show a part when they see its end"
    return jpeg


def level_of(jpeg: bytes) -> int:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (48, 64, 3)
    return round(float(image.mean()))


@pytest.mark.parametrize(("query", "level"), [("", 245), ("?show=depth", 245), ("?show=image", 10)])
def test_parts_are_jpegs_of_the_requested_image(serve, web_view, query: str, level: int) -> None:
    """One after another as they come; colourised depth unless the camera's image is requested."""
    served = serve()
    served.sink.write(web_view(10))
    with stream(served.port, f"/stream/front.mjpg{query}") as response:
        assert response.getheader("Content-Type") == f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        assert response.getheader("Cache-Control") == "no-store"
        for seq in range(11, 15):
            assert level_of(next_jpeg(response)) == pytest.approx(level, abs=6)
            served.sink.write(web_view(seq))


def test_readers_are_counted_as_viewers(serve, web_view) -> None:
    """Frames and bytes sent to them count like those sent to pages."""
    served = serve()
    received = 0
    with stream(served.port, "/stream/front.mjpg") as response:
        for seq in range(3):
            served.sink.write(web_view(seq, noise=True))
            received += len(next_jpeg(response))
        eventually(lambda: served.sink.counts()["frames_sent"] == 3)
    assert received < served.sink.counts()["bytes_sent"] < received + 3 * 200


def test_readers_share_their_jpegs_with_the_page(serve, web_view) -> None:
    """Two readers and a page: each image is encoded once."""
    served = serve()
    with (
        stream(served.port, "/stream/front.mjpg") as one,
        stream(served.port, "/stream/front.mjpg") as other,
        WebClient(served.ws) as viewer,
    ):
        viewer.watch(front="depth")
        for seq in range(10):
            served.sink.write(web_view(seq))
            jpeg = viewer.shown(viewer.image()).jpegs["depth"]
            assert next_jpeg(one) == next_jpeg(other) == jpeg
    assert served.sink.encodes == 10


def test_a_reader_that_comes_before_the_camera_waits(serve, web_view) -> None:
    """The response begins at once; the first image follows when there is one."""
    served = serve()
    with stream(served.port, "/stream/front.mjpg") as response:
        assert response.status == 200
        served.sink.write(web_view(100))
        assert level_of(next_jpeg(response)) == pytest.approx(155, abs=2)


def test_a_reader_of_a_removed_camera_gets_the_end(serve, web_view) -> None:
    """Rather than wait for ever; a new request is answered 404."""
    served = serve()
    served.sink.write(web_view(1))
    with stream(served.port, "/stream/front.mjpg") as response:
        next_jpeg(response)
        served.sink.remove("front")
        assert response.read() == b""
    with stream(served.port, "/stream/front.mjpg") as response:
        assert response.status == 404


@pytest.mark.slow
def test_a_silent_camera_is_shown_again(serve, web_view, monkeypatch) -> None:
    """So that proxies keep the connection, and a client that has gone is noticed."""
    monkeypatch.setattr(mjpeg, "REPEAT_S", 0.1)
    served = serve()
    served.sink.write(web_view(1))
    with stream(served.port, "/stream/front.mjpg") as response:
        assert next_jpeg(response) == next_jpeg(response) == next_jpeg(response)


@pytest.mark.slow
def test_a_slow_reader_skips_images(serve, web_view) -> None:
    """A client that reads nothing while 100 images pass gets a few old ones from the buffers, then the newest."""
    served, count = serve(), 100
    with stream(served.port, "/stream/front.mjpg?show=image", 65536) as slow, WebClient(served.ws) as viewer:
        viewer.watch(front="image")
        for seq in range(count):
            view = web_view(seq, size=(240, 320), noise=True)
            served.sink.write(view)
            last = viewer.shown(viewer.image()).jpegs["image"]
        read = 1
        while next_jpeg(slow) != last:
            read += 1
    assert read < count // 4


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/stream/unknown.mjpg", 404),
        ("/stream/.mjpg", 404),
        ("/stream/front", 404),
        ("/stream/../front.mjpg", 404),
        ("/stream/front.mjpg?show=everything", 400),
        ("/stream/front.mjpg?show=", 400),
    ],
)
def test_a_wrong_address_gets_one_line(serve, target: str, status: int) -> None:
    """It says what exists or how to find out, and nothing about this machine."""
    with stream(serve().port, target) as response:
        assert response.status == status
        assert response.read().count(b"\n") <= 1


def test_names_of_cameras_may_be_anything(serve, web_view) -> None:
    """A slash, a blank, a letter of any alphabet: as a browser writes them in an address."""
    served = serve(("hof/tür 2",))
    served.sink.write(web_view(30, "hof/tür 2"))
    for written in ("hof/t%C3%BCr%202", "hof%2Ft%C3%BCr%202"):
        with stream(served.port, f"/stream/{written}.mjpg") as response:
            assert level_of(next_jpeg(response)) == pytest.approx(225, abs=2)


def test_head_is_answered_without_images(serve) -> None:
    """A HEAD request does not count as a viewer."""
    served = serve()
    connection = HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
    connection.request("HEAD", "/stream/front.mjpg")
    with connection.getresponse() as response:
        assert response.status == 200
        assert response.read() == b""
    connection.close()
    assert served.sink.counts()["viewers"] == 0


def test_readers_that_leave_are_forgotten(serve, web_view, monkeypatch) -> None:
    """Also when no image comes that could fail to be sent; with all places taken the next one gets 503."""
    monkeypatch.setattr(session, "MAX_VIEWERS", 1)
    served = serve()
    with urlopen(f"{served.server.url}stream/front.mjpg", timeout=PATIENCE_S):
        eventually(lambda: served.sink.counts()["viewers"] == 1)
        with stream(served.port, "/stream/front.mjpg") as refused:
            assert refused.status == 503
    eventually(lambda: served.sink.counts()["viewers"] == 0)
    with stream(served.port, "/stream/front.mjpg") as response:
        served.sink.write(web_view())
        next_jpeg(response)
