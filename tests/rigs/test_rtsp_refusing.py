"""The RTSP camera's orders: wrong answers, gates, broken RTP clocks, further tracks, sessions that end."""

from __future__ import annotations

import socket
import struct
import threading
import time
from itertools import islice, pairwise

import pytest

from pipelines.drill.camera.rtp_clock import ClockFault, RtpClock
from pipelines.drill.camera.sdp import Side, describe
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.rigs.rtsp_client import BareClient, watching
from tests.rigs.rtsp_images import IMAGES, numbers, quick_clip


def test_any_request_gets_the_answer_that_was_ordered() -> None:
    """For ever, or so many times; other requests are answered rightly."""
    with RtspCamera({"/cam": quick_clip()}) as camera, BareClient(camera.url("/cam")) as client:
        camera.answer("DESCRIBE", 453, {"Retry-After": "5"}, times=2)
        answers = [client.ask("DESCRIBE") for _ in range(3)]
        assert [answer.split()[1] for answer in answers] == ["453", "453", "200"]
        assert "Retry-After: 5" in answers[0]
        camera.answer("*", 599)
        assert [client.ask(method).split()[1] for method in ("OPTIONS", "DESCRIBE", "SETUP")] == ["599"] * 3
        camera.answer("*", None)
        assert client.ask("OPTIONS").split()[1] == "200"
        assert [method for method, _ in camera.requests] == [
            *["DESCRIBE"] * 3,
            "OPTIONS",
            "DESCRIBE",
            "SETUP",
            "OPTIONS",
        ]


def test_a_redirect_names_another_place() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, BareClient(camera.url("/cam")) as client:
        camera.redirect("rtsp://127.0.0.1:1/elsewhere", 301)
        answer = client.ask("DESCRIBE")
        assert answer.split()[1] == "301"
        assert "Location: rtsp://127.0.0.1:1/elsewhere" in answer
        camera.redirect(None)
        assert client.ask("DESCRIBE").split()[1] == "200"


def test_a_gate_leaves_images_out_without_a_trace() -> None:
    with RtspCamera({"/cam": quick_clip("mjpeg")}) as camera, watching(camera.url("/cam")) as images:
        camera.set_gate(lambda number: number % 3 == 0)
        seen = numbers(list(islice(images, IMAGES)))[-20:]
        camera.set_gate(None)
    assert all(number is not None and number % 3 == 0 for number in seen)
    assert camera.damaged == []


@pytest.mark.parametrize(
    ("fault", "after_s", "expected_s"),
    [
        (None, 10.0, 10.0),
        ("constant", 10.0, 0.0),
        ("slow rate", 9.0, 0.8),
        ("steps back", 2.5, 1.9),
        ("5% slow", 10.0, 9.5),
        ("5% fast", 10.0, 10.5),
        ("jump ahead", 1.0, 10_801.0),
        ("jump back", 1.0, -10_799.0),
    ],
)
def test_a_broken_rtp_clock(fault: ClockFault | None, after_s: float, expected_s: float) -> None:
    clock = RtpClock(fault, since_s=100.0)
    assert clock.media_s(100.0 + after_s) == pytest.approx(100.0 + expected_s)
    assert clock.media_s(99.0) == 99.0


def test_a_broken_rtp_clock_reaches_the_client() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        next(images)
        camera.break_rtp_clock("slow rate")
        times = [image.pts for image in islice(images, IMAGES)][-10:]
    steps = [(after or 0) - (before or 0) for before, after in pairwise(times)]
    assert max(steps) <= 90_000 // 100 // 11 + 1


TRACKS: list[Clip | Side] = ["audio", quick_clip(), "metadata", quick_clip(width=160, height=128)]


def test_tracks_are_described_in_their_order() -> None:
    lines = describe(TRACKS).decode().splitlines()
    assert [line.split()[0] for line in lines if line.startswith("m=")] == [
        "m=audio",
        "m=video",
        "m=application",
        "m=video",
    ]
    assert [line for line in lines if line.startswith("a=control:track")] == [f"a=control:track{n}" for n in range(4)]


def test_each_track_that_was_set_up_is_sent() -> None:
    """Interleaved, on the channels that the client asked for."""
    with RtspCamera({"/cam": TRACKS}) as camera, BareClient(camera.url("/cam")) as client:
        for number in range(4):
            channels = f"{2 * number}-{2 * number + 1}"
            answer = client.ask("SETUP", f"/track{number}", Transport=f"RTP/AVP/TCP;unicast;interleaved={channels}")
            assert answer.split()[1] == "200"
        assert client.ask("SETUP", "/track4", Transport="RTP/AVP/TCP").split()[1] == "404"
        client.socket.sendall(f"PLAY {client.url} RTSP/1.0\r\nCSeq: 9\r\n\r\n".encode())
        assert camera.sessions == 1
        types: dict[int, set[int]] = {}
        while len(types) < 4:
            _, channel, length = struct.unpack("!cBH", _exactly(client.socket, 4, skip=b"RTSP"))
            packet = _exactly(client.socket, length)
            if channel % 2 == 0:
                types.setdefault(channel // 2, set()).add(packet[1] & 0x7F)
    assert types == {0: {0}, 1: {96}, 2: {107}, 3: {96}}


def _exactly(sock: socket.socket, size: int, skip: bytes = b"") -> bytes:
    """So many bytes; in front of them a message that begins with ``skip`` is left out."""
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
        if skip and data == skip:
            while not data.endswith(b"\r\n\r\n"):
                data += sock.recv(1)
            data = b""
    return data


@pytest.mark.slow
def test_a_session_without_requests_ends() -> None:
    with RtspCamera({"/cam": quick_clip()}, session_timeout_s=0.5) as camera, BareClient(camera.url("/cam")) as client:
        assert "timeout=0.5" in client.ask("SETUP", "/track0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        start_s = time.monotonic()
        while camera.sessions:
            assert time.monotonic() - start_s < 10
            threading.Event().wait(0.02)
        assert time.monotonic() - start_s >= 0.4


def test_nonces_end() -> None:
    with (
        RtspCamera({"/cam": quick_clip()}, user="u", password="p", auth="both") as camera,
        BareClient(camera.url("/cam")) as client,
    ):
        first = client.ask("DESCRIBE")
        camera.end_nonces()
        second = client.ask("DESCRIBE")
    assert "algorithm=SHA-256" in first
    assert "stale" not in first
    assert second.count("stale=true") == 2


def test_a_path_needs_a_video_track() -> None:
    with pytest.raises(ValueError, match="video track"):
        RtspCamera({"/cam": ["audio"]})
