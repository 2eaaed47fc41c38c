"""Live streams other than RTSP: http MJPEG, MPEG-TS over UDP, RTP with a session description, HLS, patterns, files."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic

import av
import cv2
import numpy as np
import pytest

from stream.errors import AccessDenied, SourceError
from stream.frames import Frame, Size
from tests.sources.watching import network, read

FPS = 20
LEVELS = 8
"""Gray levels, far enough apart for an encoder with a low bit rate."""


def level(index: int) -> int:
    """The gray level that fills image ``index``."""
    return 40 + 25 * (index % LEVELS)


def index_of(frame: Frame) -> int:
    return round((float(frame.image.mean()) - 40) / 25)


def image(index: int) -> np.ndarray:
    return np.full((96, 128, 3), level(index), np.uint8)


class MjpegCamera(BaseHTTPRequestHandler):
    """An HTTP server of Motion JPEG: one JPEG after the other until ``server.over`` is set."""

    def do_GET(self) -> None:
        if self.path == "/private":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=image")
        self.end_headers()
        for index in count():
            if self.server.over.wait(1 / FPS):  # type: ignore[attr-defined]
                return
            jpeg = cv2.imencode(".jpg", image(index))[1].tobytes()
            head = f"--image\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.over = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join(5)
        server.server_close()


@contextmanager
def sending(url: str, form: str, **options: str) -> Iterator[None]:
    """Run an encoder that sends images to ``url`` in real time."""
    over = threading.Event()

    def send() -> None:
        container = av.open(url, "w", format=form, options=options)
        stream = container.add_stream("libx264", rate=FPS, options={"tune": "zerolatency", "g": str(FPS // 2)})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in count():
            if over.wait(1 / FPS):
                break
            frame = av.VideoFrame.from_ndarray(image(index), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)


def free_udp_port() -> int:
    """An even port whose next one is free, too (for RTP and RTCP), below the system's ephemeral ports (32768)."""
    rng = Random()
    for _ in range(1000):
        port = rng.randrange(20_000, 32_000, 2)
        with suppress(OSError), ExitStack() as stack:
            for number in (port, port + 1):
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", number))
            return port
    raise AssertionError("no port is free")


def is_in_order(frames: list[Frame]) -> bool:
    return all((index_of(b) - index_of(a)) % LEVELS == 1 for a, b in pairwise(frames))


@pytest.mark.slow
def test_mjpeg_over_http() -> None:
    """Images are in order, fresh and stamped on arrival; the rate is measured, because the format has none."""
    ages: list[float] = []
    with serving(MjpegCamera) as server, network(f"http://127.0.0.1:{server.server_port}/video") as source:
        frames = read(source, 30, lambda frame: ages.append(frame.stamp.age_s()))
        about = source.describe()
    assert median(ages) < 0.5
    assert is_in_order(frames)
    assert {(frame.size, frame.stamp.source, frame.integrity) for frame in frames} == {
        (Size(96, 128), "arrival", "clean")
    }
    assert "mjpeg" in about
    assert "25 fps" not in about  # FFmpeg's guess for images without time stamps


def test_a_web_camera_that_goes_away() -> None:
    """Live streams have no end."""
    with (
        serving(MjpegCamera) as server,
        network(f"http://127.0.0.1:{server.server_port}/video") as source,
        pytest.raises(SourceError, match="ended"),
    ):
        read(source, 1000, lambda frame: server.over.set() if frame.seq == 5 else None)


def test_a_web_camera_that_wants_a_password() -> None:
    """The token in its query is not shown either."""
    with serving(MjpegCamera) as server:
        with pytest.raises(AccessDenied), network(f"http://127.0.0.1:{server.server_port}/private") as source:
            read(source, 1)
        with pytest.raises(SourceError) as caught, network("http://127.0.0.1:1/cgi?user=a&pwd=geheim99&x=1"):
            pass
    assert "pwd=***&x=1" in str(caught.value)
    assert "geheim99" not in str(caught.value)


@pytest.mark.slow
def test_mpeg_ts_over_udp() -> None:
    """The source joins in the middle of the stream."""
    port = free_udp_port()
    with sending(f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts"), network(f"udp://127.0.0.1:{port}") as source:
        frames = read(source, 30)
    assert is_in_order(frames)
    assert {frame.integrity for frame in frames} == {"clean"}


@pytest.mark.slow
def test_rtp_with_a_session_description(tmp_path: Path) -> None:
    """``url`` is the path of an SDP file."""
    port = free_udp_port()
    description = tmp_path / "camera.sdp"
    description.write_text(
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1\n"
    )
    with sending(f"rtp://127.0.0.1:{port}", "rtp"), network(str(description)) as source:
        frames = read(source, 30)
    assert is_in_order(frames)
    assert {frame.integrity for frame in frames} == {"clean"}


@pytest.mark.slow
def test_a_pattern_is_paced_and_ends() -> None:
    """``lavfi:`` runs at its own rate, and its end is no error."""
    started = monotonic()
    with network("lavfi:testsrc2=size=128x96:rate=20:duration=1") as source:
        frames = list(source.frames(threading.Event()))
        about = source.describe()
    assert len(frames) == 20
    assert monotonic() - started > 0.9
    assert all(a.stamp.mono_ns <= b.stamp.mono_ns for a, b in pairwise(frames))
    assert "128x96" in about


@pytest.mark.slow
def test_a_file_on_a_web_server_is_paced_and_ends(tmp_path: Path, write_clip: Callable[..., Path]) -> None:
    """All frames are delivered: a file has no backlog to skip."""
    write_clip("clip.mp4", frames=25)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    started = monotonic()
    with (
        serving(partial(Quiet, directory=str(tmp_path))) as server,
        network(f"http://127.0.0.1:{server.server_port}/clip.mp4") as source,
    ):
        frames = list(source.frames(threading.Event()))
    assert len(frames) == 25
    assert monotonic() - started > 0.8


@pytest.mark.slow
def test_hls(tmp_path: Path) -> None:
    """A live playlist that another program keeps writing; ``stall_s`` is longer than two segments.

    Shorter ones would have a target duration of 0, by which FFmpeg skips some on a busy machine.
    """

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    playlist = tmp_path / "live.m3u8"
    with (
        sending(str(playlist), "hls", hls_time="1", hls_list_size="60", hls_flags="temp_file"),
        serving(partial(Quiet, directory=str(tmp_path))) as server,
    ):
        waiting = threading.Event()
        while not playlist.exists():
            waiting.wait(0.05)
        with network(f"http://127.0.0.1:{server.server_port}/live.m3u8", stall_s=5) as source:
            frames = read(source, 30)
    assert is_in_order(frames)
