"""Cameras that mean harm, read through the product's own door: each ends in one of our errors, soon and cheaply."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from stream.core.clock import Deadline
from stream.settings import NetworkCamera
from stream.sources.backoff import BackoffDelays
from stream.sources.health import Health
from stream.sources.network.access_unit import AccessUnit
from stream.sources.network.decoder import LiveDecoder, codec_context
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.receiver import Received
from stream.sources.network.source import NetworkSource
from stream.sources.reconnect import Reconnecting

SECRET = "geheim77"
OPEN_S, PATIENCE_S = 1.0, 20.0
SDP = b"v=0\r\nm=video 0 RTP/AVP %s\r\na=rtpmap:96 H264/90000\r\n"
HUGE_SPS = bytes.fromhex("674200ffd84400fa001f4640")
PPS, SLICE = bytes.fromhex("68ce3880"), bytes.fromhex("65888493c0")
"""Parameter sets of 16000x16000 pixels, and the first macroblock of an image."""
BAD_UNITS = b"\x65\x88" + b"\0\0\1\x68\xff\0\0\1\x67\xff" * 30_000

Answers = Callable[[bytes], bytes]
"""The answer to a request, of which all but the first line may be ignored."""


def rtsp(status: bytes = b"200 OK", headers: bytes = b"", body: bytes = b"") -> bytes:
    return b"RTSP/1.0 %s\r\nCSeq: %%d\r\n%sContent-Length: %d\r\n\r\n" % (status, headers, len(body)) + body


def redirecting(place: bytes) -> Answers:
    return lambda _: rtsp(b"302 Found", b"Location: " + place + b"\r\n")


def describing(body: bytes, headers: bytes = b"") -> Answers:
    return lambda request: rtsp(headers=headers, body=body) if request.startswith(b"DESCRIBE") else rtsp()


def http(headers: bytes, body: bytes = b"", status: bytes = b"200 OK") -> Answers:
    whole = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, headers, len(body)) + body
    return lambda _: whole


def png(side: int) -> bytes:
    """Black, and square: some kilobytes, whatever its size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    head = struct.pack("!IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((1 + side) * side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@contextmanager
def camera(answers: Answers, scheme: str) -> Iterator[str]:
    """The URL of a camera on 127.0.0.1 that answers every request so; its password is ``SECRET``."""
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            with suppress(OSError):
                client, _ = listening.accept()
                with client:
                    client.settimeout(0.05)
                    converse(client)

    def converse(client: socket.socket) -> None:
        while not stopping.is_set():
            with suppress(TimeoutError):
                request = client.recv(65_536)
                if not request:
                    return
                number = request.partition(b"CSeq: ")[2].partition(b"\r")[0]
                client.settimeout(5.0)
                client.sendall(answers(request).replace(b"%d", number, 1))
                client.settimeout(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        thread = threading.Thread(target=serve, name="hostile")
        thread.start()
        try:
            yield f"{scheme}://admin:{SECRET}@127.0.0.1:{listening.getsockname()[1]}/cam"
        finally:
            stopping.set()
            thread.join()


def trouble(answers: Answers, scheme: str = "rtsp") -> str:
    """The error that the camera's health names after the first connection; everything is stopped again then."""
    health, stopping = Health("door"), threading.Event()
    with camera(answers, scheme) as url:
        kind = "rtsp" if scheme == "rtsp" else "url"
        settings = NetworkCamera(source=kind, name="door", url=url, open_s=OPEN_S, stall_s=OPEN_S)
        delays = BackoffDelays(lost_s=(3600.0,), refused_s=(3600.0,))
        source = Reconnecting(lambda: NetworkSource(settings), health, delays=delays)
        raised: list[BaseException] = []

        def read() -> None:
            try:
                with source:
                    for _ in source.frames(stopping):
                        pass
            except BaseException as error:  # noqa: BLE001  # nothing that a camera sends may end a pipeline
                raised.append(error)

        reader = threading.Thread(target=read, name="reader")
        reader.start()
        deadline = Deadline.after(PATIENCE_S)
        while not (found := health.snapshot().trouble) and not deadline.passed:
            reader.join(0.02)
        stopping.set()
        reader.join(PATIENCE_S)
        assert not reader.is_alive()
    assert not raised
    assert found
    return found


@pytest.mark.parametrize(
    "place",
    [
        b"//[x",
        "rtsp://a\u2100b/".encode(),
        b"rtsp://" + b"a" * 64 + b"/",
        b"rtsp://a..b/",
        b"rtsps://.a/",
        b"rtsp://a\0b/",
        b"//[::",
        b"file:///etc/passwd",
        b"http://127.0.0.1/",
    ],
)
def test_a_redirect_to_no_address_is_an_error_of_the_camera(place: bytes) -> None:
    assert "cannot be opened" in trouble(redirecting(place))


def test_a_base_that_is_no_address_is_an_error_of_the_camera() -> None:
    assert "cannot be opened" in trouble(describing(SDP % b"96", b"Content-Base: //[x\r\n"))


@pytest.mark.parametrize(
    ("answers", "scheme"),
    [
        (redirecting(b"rtsp://127.0.0.1:1/\x1b[2J/geheim77/" + b"x" * 9000), "rtsp"),
        (lambda _: rtsp(b"401 No", b'WWW-Authenticate: Digest nonce="1", algorithm="\x1b[2Jgeheim77"\r\n'), "rtsp"),
        (lambda _: rtsp(b"401 No", b"WWW-Authenticate: geheim77 x=1\r\n"), "rtsp"),
        (lambda _: rtsp(b"499 \x1b[2JGEHEIM77"), "rtsp"),
        (describing(b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 geheim77/90000\r\n"), "rtsp"),
        (http(b"Location: http://127.0.0.1:1/\x1b[2J/geheim77/" + b"x" * 9000 + b"\r\n", status=b"302 No"), "http"),
        (http(b'WWW-Authenticate: Digest nonce="1", algorithm="\x1b[2Jgeheim77"\r\n', status=b"401 No"), "http"),
        (http(b"Content-Type: text/\x1b[2JGeheim77\r\n", b"a page, not an image"), "http"),
    ],
)
def test_a_cameras_words_bring_no_password_and_no_control_characters(
    answers: Answers, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera knows its password, and may send it back in any of its words."""
    with caplog.at_level(logging.DEBUG):
        said = trouble(answers, scheme)
    assert len(said) < 700
    for text in (said, *(record.getMessage() for record in caplog.records)):
        assert SECRET not in text.lower()
        assert text.isprintable()


@pytest.mark.parametrize(
    ("units", "words"),
    [((HUGE_SPS, PPS, SLICE), "exceeds specified max pixel count"), ((BAD_UNITS,), "more than 4096 parts")],
)
def test_an_image_of_absurd_size_or_of_absurdly_many_parts_is_never_decoded(
    units: tuple[bytes, ...], words: str
) -> None:
    """They took 1.7 GB, and more than half a minute for one image."""
    log = FfmpegLog(str)
    decoder = LiveDecoder(codec_context("h264", b"", None), log)
    image = AccessUnit(b"".join(b"\0\0\0\1" + unit for unit in units), True, 0, 0)
    assert decoder.decode(Received(image, 0, 0)) == []
    assert any(words in line for line in log.last_lines)


@pytest.mark.slow
def test_an_absurdly_large_snapshot_is_never_decoded() -> None:
    said = trouble(http(b"Content-Type: image/png\r\n", png(12_000)), "http")
    assert "exceeds specified max pixel count" in said
