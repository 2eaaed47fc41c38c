"""Cameras that refuse, redirect, lie or never end: each becomes one error that says what to do, in bounded time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, pairwise
from urllib.parse import quote

import pytest

from pipelines.drill.camera.auth import Scheme
from stream.errors import AccessDenied, SourceError
from stream.sources.network.errors import TransportRefused
from stream.sources.network.rtsp.address import Address, BadAddress
from stream.sources.network.rtsp.errors import STATUSES
from tests.rigs.rtsp_camera import RtspCamera
from tests.sources.network.rtsp.rtsp_reading import clip, numbers, open_reader, reading, take, turning, wait_until

SECRET = "p@ss:w/or?d#% \u00e9\u20ac"
SCHEMES: list[Scheme] = ["digest", "basic", "sha256", "md5-sess", "sha256-sess", "both", "both+basic"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_password_opens(scheme: Scheme) -> None:
    with (
        RtspCamera({"/cam": clip()}, user="ad@min", password=SECRET, auth=scheme) as camera,
        reading(camera.url("/cam", credentials=True)) as reader,
    ):
        assert numbers(reader, take(reader, 10)) == turning(10)


@pytest.mark.parametrize("user", ["us:er", "\u00fcser", "a b"])
def test_user_names_may_be_odd(user: str) -> None:
    with (
        RtspCamera({"/cam": clip()}, user=user, password="", auth="sha256") as camera,
        reading(camera.url("/cam", credentials=True)) as reader,
    ):
        assert len(take(reader, 3)) == 3


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_wrong_password_is_denied_and_tried_once(scheme: Scheme) -> None:
    """Once with each algorithm that is offered: repeated tries would lock the account."""
    with RtspCamera({"/cam": clip()}, user="admin", password="right", auth=scheme) as camera:
        url = camera.url("/cam").replace("rtsp://", "rtsp://admin:wr0ngSecret@")
        with pytest.raises(AccessDenied, match="refused the user name or the password") as denied:
            open_reader(url)
        assert "wr0ngSecret" not in str(denied.value)
        assert [method for method, _ in camera.requests].count("DESCRIBE") == 1 + (2 if "both" in scheme else 1)
        wait_until(lambda: camera.sessions == 0)


def test_a_password_is_asked_for() -> None:
    with (
        RtspCamera({"/cam": clip()}, user="admin", password="x", auth="sha256") as camera,
        pytest.raises(AccessDenied, match="asks for a user name and a password; write them in front of the host"),
    ):
        open_reader(camera.url("/cam"))


def test_an_unknown_kind_of_authentication_is_named() -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.answer("DESCRIBE", 401, {"WWW-Authenticate": 'Bearer realm="x"'})
        url = camera.url("/cam").replace("rtsp://", "rtsp://admin:pass@")
        with pytest.raises(AccessDenied, match=r"wants Bearer authentication .* Digest with MD5 or SHA-256 are known"):
            open_reader(url)


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize("status", [*STATUSES, 402, 599])
def test_each_status_has_its_meaning(status: int, method: str) -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.answer(method, status)
        with pytest.raises(SourceError, match=str(status)) as refused:
            open_reader(camera.url("/cam"))
        assert not isinstance(refused.value, AccessDenied)
        wait_until(lambda: camera.sessions == 0)
    if status == 453:
        assert "too many viewers" in str(refused.value)
        assert "path" not in str(refused.value)


def test_forbidden_is_not_a_wrong_password() -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.answer("DESCRIBE", 403)
        with pytest.raises(AccessDenied, match=r"forbids this stream \(403\)"):
            open_reader(camera.url("/cam"))


def test_461_is_a_refused_transport() -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.answer("SETUP", 461)
        with pytest.raises(TransportRefused):
            open_reader(camera.url("/cam"))


@pytest.mark.parametrize("status", [404, 405, 500, 501])
def test_a_camera_need_not_know_options(status: int) -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.answer("OPTIONS", status)
        with reading(camera.url("/cam")) as reader:
            assert len(take(reader, 3)) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 305, 307, 308])
def test_redirects_are_followed(status: int) -> None:
    with RtspCamera({"/cam": clip()}) as target, RtspCamera({"/cam": clip()}) as camera:
        camera.redirect(target.url("/cam"), status)
        with reading(camera.url("/cam")) as reader:
            assert numbers(reader, take(reader, 5)) == turning(5)
        assert target.sent("/cam") >= 5


@pytest.mark.parametrize("location", ["/other", "other", "//127.0.0.1:{port}/other"])
def test_a_relative_redirect_is_resolved(location: str) -> None:
    with RtspCamera({"/cam": clip(), "/other": clip()}) as camera:
        camera.answer("DESCRIBE", 302, {"Location": location.format(port=camera.port)}, times=1)
        with reading(camera.url("/cam")) as reader:
            assert len(take(reader, 5)) == 5
        assert camera.sent("/other") >= 5


def test_a_circle_of_redirects_is_seen_at_once() -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.redirect(camera.url("/cam"))
        with pytest.raises(SourceError, match="redirects in a circle"):
            open_reader(camera.url("/cam"))
        assert [method for method, _ in camera.requests].count("DESCRIBE") == 1


def test_redirects_without_end_are_left_after_ten() -> None:
    with ExitStack() as stack:
        cameras = [stack.enter_context(RtspCamera({"/cam": clip()})) for _ in range(13)]
        for camera, following in pairwise(cameras):
            camera.redirect(following.url("/cam"))
        with pytest.raises(SourceError, match="redirects more than 10 times"):
            open_reader(cameras[0].url("/cam"))
        assert [len(camera.requests) > 0 for camera in cameras] == [True] * 11 + [False] * 2


@pytest.mark.parametrize("location", ["http://127.0.0.1/", "rtsp://", "rtsp://h:99999/", "file:///etc/passwd"])
def test_a_redirect_to_nowhere_is_named(location: str) -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.redirect(location)
        with pytest.raises(SourceError, match="redirects to nowhere"):
            open_reader(camera.url("/cam"))


def test_errors_are_blamed_on_the_address_that_gave_them() -> None:
    with RtspCamera({"/cam": clip()}) as target, RtspCamera({"/cam": clip()}) as camera:
        camera.redirect(target.url("/gone"))
        with pytest.raises(SourceError, match="no such path") as refused:
            open_reader(camera.url("/cam"))
        assert f"-> {target.url('/gone')}: " in str(refused.value)


def test_credentials_go_to_the_same_host_only() -> None:
    """127.0.0.1 and localhost are two hosts here; another port is the same one."""
    secret = "verySecret1"
    with ExitStack() as stack:
        target, camera = (
            stack.enter_context(RtspCamera({"/cam": clip()}, user="admin", password=secret)) for _ in range(2)
        )
        camera.redirect(target.url("/cam"))
        with reading(camera.url("/cam", credentials=True)) as reader:
            assert len(take(reader, 3)) == 3
        camera.redirect(target.url("/cam").replace("127.0.0.1", "localhost"))
        with pytest.raises(AccessDenied, match="not carried to another host") as denied:
            open_reader(camera.url("/cam", credentials=True))
        camera.redirect(target.url("/cam", credentials=True).replace("127.0.0.1", "localhost"))
        with reading(camera.url("/cam", credentials=True)) as reader:
            assert len(take(reader, 3)) == 3
        camera.redirect(target.url("/gone", credentials=True))
        with pytest.raises(SourceError) as gone:
            open_reader(camera.url("/cam", credentials=True))
    assert secret not in str(denied.value) + str(gone.value)


def test_a_camera_without_video_says_what_it_sends() -> None:
    with RtspCamera({"/cam": ["audio", clip(), "metadata"]}) as camera:
        camera.rewrite_sdp(lambda text: text.replace("m=video", "m=text"))
        with pytest.raises(SourceError, match="sends no video"):
            open_reader(camera.url("/cam"))
        camera.rewrite_sdp(lambda _: "")
        with pytest.raises(SourceError, match="sends no video"):
            open_reader(camera.url("/cam"))


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\r\n", "\n"),
        lambda text: text + "a=x-junk:" + "z" * 65_000 + "\r\n",
        lambda text: text.replace("IN IP4 0.0.0.0", "IN IP4 239.1.1.1/32"),
        lambda text: text.replace("H264/90000", "h264/90000 "),
        lambda text: "\n".join(line for line in text.splitlines() if not line.startswith("a=fmtp")),
        lambda text: "\n".join(line for line in text.splitlines() if not line.startswith("a=control")),
    ],
)
def test_odd_descriptions_are_read(rewrite: Callable[[str], str]) -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.rewrite_sdp(rewrite)
        with reading(camera.url("/cam")) as reader:
            assert numbers(reader, take(reader, 10)) == turning(10)


def test_nothing_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"rtsp://127.0.0.1:{sock.getsockname()[1]}/cam"
        with pytest.raises(SourceError, match="connection refused; is the camera on"):
            open_reader(url)


def test_a_mute_camera_is_left_in_time() -> None:
    with RtspCamera({"/cam": clip()}) as camera:
        camera.mute()
        with pytest.raises(SourceError, match=r"no answer in 0.5 s; is the camera on\?"):
            open_reader(camera.url("/cam"), open_s=0.5)


@contextmanager
def server(behaviour: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """The URL of a server that does to each client what ``behaviour`` says, until the event is set."""
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def serve() -> None:
            while not stopping.is_set():
                with suppress(TimeoutError):
                    client, _ = listening.accept()
                    with client, suppress(OSError):
                        client.settimeout(0.05)
                        behaviour(client, stopping)

        thread = threading.Thread(target=serve, name="server")
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{listening.getsockname()[1]}/cam"
        finally:
            stopping.set()
            thread.join()


def says(*parts: bytes, forever: bytes = b"", every_s: float = 0.0) -> Callable[[socket.socket, threading.Event], None]:
    def behave(client: socket.socket, stopping: threading.Event) -> None:
        client.recv(4096)
        for part in parts:
            client.sendall(part)
        while forever and not stopping.wait(every_s):
            with suppress(TimeoutError):
                client.sendall(forever)

    return behave


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "speaks HTTP, not RTSP"),
        (says(b"\x15\x03\x01\0\2\2\x46"), "ended the connection without an answer"),
        (says(), "ended the connection without an answer"),
        (says(b"RTSP/1.0 200 OK\r\n", forever=b"X: y\r\n" * 100), "a message without an end"),
        (says(b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n"), "99999999 bytes"),
        (says(forever=b"\0" * 1000), "no RTSP"),
        (says(forever=b"R", every_s=0.05), "no answer in 1 s"),
        (says(forever=b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n", every_s=0.001), "no answer in 1 s"),
        (says(forever=b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n", every_s=0.001), "no answer in 1 s"),
        (says(forever=b"$\0\0\4abcd", every_s=0.001), "no answer in 1 s"),
    ],
)
def test_hostile_servers(behaviour: Callable[[socket.socket, threading.Event], None], words: str) -> None:
    with server(behaviour) as url, pytest.raises(SourceError, match=words):
        open_reader(url, open_s=1)


def test_an_answer_may_come_behind_packets() -> None:
    """Media before the answer to PLAY belong to the stream."""
    sdp = b"m=video 0 RTP/AVP 26\r\n"
    image = b"\x80\x9a\0\1\0\0\0\0\0\0\0\1" + b"\0\0\0\0\1\x32\x02\x02" + b"scan"

    def camera(client: socket.socket, stopping: threading.Event) -> None:
        for number in count(1):
            request = b""
            while not request.endswith(b"\r\n\r\n") and not stopping.is_set():
                with suppress(TimeoutError):
                    request += client.recv(4096)
            if stopping.is_set() or request.startswith(b"TEARDOWN"):
                return
            body = sdp if request.startswith(b"DESCRIBE") else b""
            if request.startswith(b"PLAY"):
                for at in range(3):
                    packet = image[:3] + bytes([at]) + image[4:7] + bytes([at]) + image[8:]
                    client.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
            head = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)

    with server(camera) as url, reading(url) as reader:
        assert [unit.media_s for unit in take(reader, 2)] == [0, 1 / 90_000]


def test_opening_never_takes_longer_than_allowed() -> None:
    """The whole of it: each step of this camera takes almost all of the time."""

    def slow(client: socket.socket, stopping: threading.Event) -> None:
        for number in range(1, 10):
            client.settimeout(5)
            if not client.recv(4096) or stopping.wait(0.8):
                return
            client.sendall(f"RTSP/1.0 401 No\r\nCSeq: {number}\r\n{NONCES[number]}\r\n\r\n".encode())

    start_s = time.monotonic()
    with server(slow) as url, pytest.raises(SourceError, match="no answer in 1 s"):
        open_reader(url.replace("//", "//a:b@"), open_s=1)
    assert time.monotonic() - start_s < 8  # five steps of 0.8 s would still be allowed by single time-outs


NONCES = [f'WWW-Authenticate: Digest realm="r", nonce="{number}", stale=true' for number in range(10)]


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password", "uri"),
    [
        ("rtsp://h/cam", "h", 554, None, "", "rtsp://h/cam"),
        ("RTSPS://h", "h", 322, None, "", "rtsps://h"),
        ("rtsp://a:b@h:8554/x?y=1#z", "h", 8554, "a", "b", "rtsp://h:8554/x?y=1#z"),
        ("rtsp://a@h/", "h", 554, "a", "", "rtsp://h/"),
        ("rtsp://a:@h/", "h", 554, "a", "", "rtsp://h/"),
        ("rtsp://a%3Ab:c%40d@h/", "h", 554, "a:b", "c@d", "rtsp://h/"),
        ("rtsp://a:100%sure+@h/", "h", 554, "a", "100%sure+", "rtsp://h/"),
        ("rtsp://a:b@c@h/", "h", 554, "a", "b@c", "rtsp://h/"),
        ("rtsp://[fe80::1%eth0]:1/", "fe80::1%eth0", 1, None, "", "rtsp://[fe80::1%eth0]:1/"),
        ("rtsp://h/caf\u00e9 1", "h", 554, None, "", "rtsp://h/caf%C3%A9%201"),
    ],
)
def test_addresses(url: str, host: str, port: int, user: str | None, password: str, uri: str) -> None:
    address = Address.parse(url)
    assert (address.host, address.port, address.user, address.password, address.uri) == (
        host,
        port,
        user,
        password,
        uri,
    )
    assert not password or quote(password) not in repr(address)


@pytest.mark.parametrize("url", ["", "h/cam", "rtsp://", "rtsp://a:b@/x", "rtsp://h:0/", "rtsp://h:1x/", "ftp://h/"])
def test_bad_addresses(url: str) -> None:
    with pytest.raises(BadAddress):
        Address.parse(url)
