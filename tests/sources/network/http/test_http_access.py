"""Passwords and certificates of a camera that speaks HTTP."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from base64 import b64encode
from pathlib import Path

import pytest

from stream.errors import AccessDenied, SourceError
from stream.sources.network.http.opening import open_http
from stream.sources.network.url import CameraUrl
from tests.sources.network.http.http_camera import (
    CERTIFICATE,
    PATIENCE_S,
    Exchange,
    Handler,
    HttpCamera,
    always,
    answer,
    http_settings,
    numbered_jpeg,
    opened,
    part,
    stream_head,
    units,
)

A, B = numbered_jpeg(1), numbered_jpeg(2)
FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
CHALLENGES = {
    "Basic": 'Basic realm="camera"',
    "MD5": 'Digest realm="camera", nonce="n0", qop="auth", algorithm=MD5',
    "MD5 without qop": 'Digest realm="camera", nonce="n0"',
    "SHA-256": 'Digest realm="camera", nonce="n0", qop="auth", algorithm=SHA-256',
}


def is_right(exchange: Exchange, user: str, password: str) -> bool:
    """Whether the request has the proof that RFC 7616 or RFC 7617 asks for."""
    scheme, _, proof = exchange.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        return proof == b64encode(f"{user}:{password}".encode()).decode()
    given = {name: quoted or plain for name, quoted, plain in FIELD.findall(proof)}
    hasher = hashlib.sha256 if given.get("algorithm") == "SHA-256" else hashlib.md5

    def h(text: str) -> str:
        return hasher(text.encode()).hexdigest()

    middle = [given[name] for name in ("nonce", "nc", "cnonce", "qop") if name in given]
    expected = h(":".join([h(f"{user}:camera:{password}"), *middle, h(f"GET:{exchange.target}")]))
    return given.get("username") == user and given.get("response") == expected


def guarded(challenge: str, data: bytes, *, password: str = "p@ss:w/or?d#%é") -> Handler:
    refusal = answer(b"<html>who?</html>", "text/html", "401 Unauthorized", f"WWW-Authenticate: {challenge}")

    def handle(exchange: Exchange) -> None:
        exchange.keep = True
        exchange.send(data if is_right(exchange, "admin", password) else refusal)

    return handle


def failure(url: str, **settings: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        open_http(http_settings(url, **settings), CameraUrl(url))
    assert "geheim77" not in str(caught.value)
    return caught.value


ENCODED = "admin:p%40ss%3Aw%2For%3Fd%23%25%C3%A9"


@pytest.mark.parametrize("challenge", CHALLENGES.values(), ids=CHALLENGES)
def test_every_kind_of_password_check_is_passed(challenge: str) -> None:
    with HttpCamera({"/a": guarded(challenge, stream_head() + part(A) + part(B))}) as camera:
        with opened(camera.url("/a?channel=1", user=ENCODED)) as reader:
            assert [unit.data for unit in units(reader, 2)] == [A, B]
        assert len({request.peer for request in camera.requests}) == 1, "over the same connection"


@pytest.mark.parametrize("challenge", CHALLENGES.values(), ids=CHALLENGES)
def test_a_wrong_password_is_tried_once(challenge: str) -> None:
    """More tries would lock the account."""
    with HttpCamera({"/": guarded(challenge, answer(A))}) as camera:
        error = failure(camera.url("/", user="admin:geheim77"))
        assert isinstance(error, AccessDenied)
        assert "refused the user name or the password (401" in str(error)
        assert len(camera.requests) == 2


@pytest.mark.parametrize(
    ("status", "user", "meaning"),
    [
        ("401 Unauthorized", "", "asks for a user name and a password"),
        ("403 Forbidden", "", "denies access without a password (403)"),
        ("403 Forbidden", "admin:geheim77", "denies access without asking for the password (403)"),
    ],
)
def test_each_refusal_has_its_meaning(status: str, user: str, meaning: str) -> None:
    refusal = answer(b"", "", status, 'WWW-Authenticate: Basic realm="camera"')
    with HttpCamera({"/": always(refusal)}) as camera:
        error = failure(camera.url("/", user=user))
    assert isinstance(error, AccessDenied)
    assert meaning in str(error)


def test_a_known_user_without_the_right_is_told_apart() -> None:
    def handle(exchange: Exchange) -> None:
        status = "403 Forbidden" if "authorization" in exchange.headers else "401 Unauthorized"
        exchange.send(answer(b"", "", status, 'WWW-Authenticate: Basic realm="camera"'))

    with HttpCamera({"/": handle}) as camera:
        assert "does not permit this to the user (403)" in str(failure(camera.url("/", user="admin:geheim77")))


def test_an_unknown_kind_of_password_check_is_named() -> None:
    refusal = answer(b"", "", "401 Unauthorized", "WWW-Authenticate: Bearer")
    with HttpCamera({"/": always(refusal)}) as camera:
        error = failure(camera.url("/", user="admin:geheim77"))
    assert "unknown (Bearer)" in str(error)


def test_a_badly_encoded_password_gets_a_hint() -> None:
    error = failure("http://admin:gehe/im77@127.0.0.1/")
    assert "%2F" in str(error)
    assert "im77" not in str(error)


def test_a_camera_is_verified_against_its_own_certificate() -> None:
    with HttpCamera({"/": always(stream_head() + part(A), hold=True)}, tls=True) as camera:
        for host in ("127.0.0.1", "localhost"):
            with opened(camera.url("/", host=host), tls_ca=str(CERTIFICATE)) as reader:
                assert [unit.data for unit in units(reader, 1)] == [A]


def test_an_unknown_certificate_is_refused_with_the_ways_out() -> None:
    with HttpCamera({"/": always(answer(A))}, tls=True) as camera:
        error = str(failure(camera.url("/")))
        assert camera.requests == []
    assert "its certificate is not accepted" in error
    assert "tls_ca" in error
    assert 'tls = "insecure"' in error


def test_any_certificate_is_accepted_on_demand() -> None:
    with HttpCamera({"/": always(answer(A))}, tls=True) as camera, opened(camera.url("/"), tls="insecure"):
        pass


def test_a_certificate_file_that_is_none_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    with HttpCamera({"/": always(answer(A))}, tls=True) as camera:
        assert str(wrong) in str(failure(camera.url("/"), tls_ca=str(wrong)))
        wrong.write_text("no certificate")
        assert str(wrong) in str(failure(camera.url("/"), tls_ca=str(wrong)))


def test_tls_to_a_port_without_it_says_so() -> None:
    """A web server takes the handshake for a bad request, and says so without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as sock:
                sock.recv(65536)
                sock.sendall(answer(b"", "", "400 Bad Request"))

        thread = threading.Thread(target=serve)
        thread.start()
        error = str(failure(f"https://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join(PATIENCE_S)
    assert "the port does not speak TLS" in error
