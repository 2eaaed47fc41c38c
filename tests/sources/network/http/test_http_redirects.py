"""Redirects are followed within bounds, without giving a password away."""

from __future__ import annotations

import pytest

from stream.errors import AccessDenied, SourceError
from stream.sources.network.http.opening import open_http
from stream.sources.network.url import CameraUrl
from tests.sources.network.http.http_camera import (
    CERTIFICATE,
    Exchange,
    Handler,
    HttpCamera,
    always,
    answer,
    http_settings,
    numbered_jpeg,
    opened,
)

A = numbered_jpeg(1)
BASIC = answer(b"", "", "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')


def redirect(location: str, status: str = "302 Found") -> Handler:
    def handle(exchange: Exchange) -> None:
        exchange.keep = True
        exchange.send(answer(b"<html>moved</html>", "text/html", status, f"Location: {location}"))

    return handle


def private(exchange: Exchange) -> None:
    exchange.send(answer(A) if "authorization" in exchange.headers else BASIC)


def failure(url: str, **settings: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        open_http(http_settings(url, **settings), CameraUrl(url))
    assert "geheim77" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_followed(status: str) -> None:
    with HttpCamera({"/": redirect("/image", status), "/image": always(answer(A))}) as camera:
        with opened(camera.url("/")):
            pass
        assert len({request.peer for request in camera.requests}) == 1, "over the same connection"


@pytest.mark.parametrize("location", ["image?a=1", "./image", "../cam/image", "/cam/image", "?x=1"])
def test_a_relative_address_is_resolved(location: str) -> None:
    routes = {"/cam/start": redirect(location), "/cam/image": always(answer(A))}
    if location == "?x=1":  # the same path with another query
        routes["/cam/start"] = lambda exchange: (
            exchange.send(answer(A)) if "?" in exchange.target else redirect(location)(exchange)
        )
    with HttpCamera(routes) as camera, opened(camera.url("/cam/start")):
        pass


def test_a_circle_is_noticed_at_once() -> None:
    with HttpCamera({"/": redirect("/"), "/a": redirect("/b"), "/b": redirect("/a")}) as camera:
        assert "in a circle" in str(failure(camera.url("/")))
        assert len(camera.requests) == 1
        assert "in a circle" in str(failure(camera.url("/a")))
        assert len(camera.requests) == 3


def test_ten_redirects_are_followed_and_no_more() -> None:
    routes = {f"/{hop}": redirect(f"/{hop + 1}") for hop in range(12)}
    with HttpCamera(routes | {"/12": always(answer(A))}) as camera:
        with opened(camera.url("/2")):
            pass
        camera.requests.clear()
        assert "more than 10 times" in str(failure(camera.url("/1")))
        assert len(camera.requests) == 11


@pytest.mark.parametrize(
    ("location", "meaning"),
    [("", "without saying where"), ("ftp://127.0.0.1/x", "http://"), ("http://[bad/", "makes no sense")],
)
def test_a_redirect_to_nowhere_is_an_error(location: str, meaning: str) -> None:
    with HttpCamera({"/": redirect(location)}) as camera:
        assert meaning in str(failure(camera.url("/")))


def test_an_error_blames_the_address_that_gave_it() -> None:
    with HttpCamera({"/lost": always(answer(b"", "", "404 Not Found"))}) as second:
        with HttpCamera({"/": redirect(second.url("/lost?pwd=geheim77"))}) as first:
            error = str(failure(first.url("/")))
        assert error.startswith(f"{second.url('/lost?pwd=***')} (where {first.url('/')} leads): ")
        assert "404" in error


def test_the_password_goes_on_to_the_same_host() -> None:
    with HttpCamera({"/image": private}) as second, HttpCamera({"/": redirect(second.url("/image"))}) as first:
        with opened(first.url("/", user="admin:geheim77")):
            pass
        assert "authorization" in second.requests[-1].headers


def test_the_password_does_not_go_to_another_host() -> None:
    with HttpCamera({"/image": private, "/open": always(answer(A))}) as second:
        routes = {"/": redirect(second.url("/image", host="localhost"))}
        routes["/open"] = redirect(second.url("/open", host="localhost"))
        with HttpCamera(routes) as first:
            error = failure(first.url("/", user="admin:geheim77"))
            with opened(first.url("/open", user="admin:geheim77")):
                pass
        assert isinstance(error, AccessDenied)
        assert "not sent to another host" in str(error)
        assert all("authorization" not in request.headers for request in second.requests)


def test_a_password_in_the_redirect_itself_is_used() -> None:
    with HttpCamera({"/image": private}) as second:
        location = second.url("/image", user="guest:geheim77", host="localhost")
        with HttpCamera({"/": redirect(location)}) as first, opened(first.url("/")):
            pass


def test_a_password_is_not_led_from_https_to_http() -> None:
    ca = str(CERTIFICATE)
    with HttpCamera({"/image": always(answer(A))}) as plain, safe_camera(plain.url("/image")) as safe:
        assert "from https to http" in str(failure(safe.url("/", user="admin:geheim77"), tls_ca=ca))
        assert plain.requests == []
        with opened(safe.url("/"), tls_ca=ca):
            pass


def safe_camera(location: str) -> HttpCamera:
    return HttpCamera({"/": redirect(location)}, tls=True)
