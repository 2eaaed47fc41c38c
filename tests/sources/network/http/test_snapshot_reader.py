"""A single image at an address, polled."""

from __future__ import annotations

import threading
from itertools import count
from time import monotonic, monotonic_ns

import pytest

from stream.errors import AccessDenied, SourceError
from tests.sources.network.http.http_camera import (
    CERTIFICATE,
    PATIENCE_S,
    Exchange,
    Handler,
    HttpCamera,
    always,
    answer,
    number_of,
    numbered_jpeg,
    opened,
    units,
)


def numbered(*extra: str, keep: bool = True, length: bool = True) -> Handler:
    """A camera that gives another image for each request."""
    numbers = count()

    def handle(exchange: Exchange) -> None:
        exchange.keep = keep
        exchange.send(answer(numbered_jpeg(next(numbers)), "image/jpeg", "200 OK", *extra, length=length))

    return handle


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_kept_connection_serves_every_image(tls: bool) -> None:
    with HttpCamera({"/": numbered()}, tls=tls) as camera:
        with opened(camera.url("/"), fps=60, tls_ca=str(CERTIFICATE)) as reader:
            found = units(reader, 5)
            assert reader.stated_fps == 60
        assert [number_of(unit.data) for unit in found] == [0, 1, 2, 3, 4]
        assert len({request.peer for request in camera.requests}) == 1
        assert all(unit.keyframe and unit.media_s is None and not unit.damage for unit in found)


@pytest.mark.parametrize(
    "handler",
    [numbered("Connection: close", keep=False), numbered(keep=False), numbered(keep=False, length=False)],
    ids=["Connection: close", "closed without a word", "no length"],
)
def test_a_closed_connection_is_opened_again(handler: Handler) -> None:
    with HttpCamera({"/": handler}) as camera, opened(camera.url("/"), fps=60) as reader:
        assert [number_of(unit.data) for unit in units(reader, 4)] == [0, 1, 2, 3]
        assert len({request.peer for request in camera.requests}) == 4


def test_chunked_images_keep_the_connection() -> None:
    numbers = count()

    def handle(exchange: Exchange) -> None:
        exchange.keep = True
        jpeg = numbered_jpeg(next(numbers))
        head = answer(b"", "image/jpeg", "200 OK", "Transfer-Encoding: chunked", length=False)
        exchange.send(head + f"{len(jpeg):x}\r\n".encode() + jpeg + b"\r\n0\r\n\r\n")

    with HttpCamera({"/": handle}) as camera, opened(camera.url("/"), fps=60) as reader:
        assert [number_of(unit.data) for unit in units(reader, 3)] == [0, 1, 2]
        assert len({request.peer for request in camera.requests}) == 1


def test_the_same_image_is_delivered_as_often_as_it_comes() -> None:
    with HttpCamera({"/": always(answer(numbered_jpeg(7)))}) as camera, opened(camera.url("/"), fps=60) as reader:
        assert [number_of(unit.data) for unit in units(reader, 3)] == [7, 7, 7]


def test_an_image_is_as_old_as_its_request() -> None:
    asked_ns: list[int] = []

    def handle(exchange: Exchange) -> None:
        asked_ns.append(monotonic_ns())
        exchange.over.wait(0.05)
        exchange.send(answer(numbered_jpeg(1)))

    with HttpCamera({"/": handle}) as camera, opened(camera.url("/"), fps=60) as reader:
        found = units(reader, 3)
    for unit, asked in zip(found, asked_ns, strict=True):
        assert unit.first_ns <= asked
        assert unit.complete_ns >= asked + 40_000_000


def test_polling_is_not_faster_than_its_rate() -> None:
    with HttpCamera({"/": numbered()}) as camera, opened(camera.url("/"), fps=20) as reader:
        started = monotonic()
        units(reader, 5)
        assert monotonic() - started >= 4 / 20


def test_what_was_missed_is_not_made_up_for() -> None:
    """After a slow answer there is still a whole period before the request after next."""
    numbers = count()

    def handle(exchange: Exchange) -> None:
        if next(numbers) == 1:
            exchange.over.wait(0.5)
        exchange.send(answer(numbered_jpeg(1)))

    with HttpCamera({"/": handle}) as camera, opened(camera.url("/"), fps=10) as reader:
        found = units(reader, 5)
    assert found[4].first_ns - found[2].first_ns >= 100_000_000, "made up for, it would be nothing"


def test_a_cut_image_is_damaged_inside() -> None:
    """The length promises more than comes."""
    jpeg = numbered_jpeg(1)
    numbers = count()

    def handle(exchange: Exchange) -> None:
        whole = answer(jpeg)
        exchange.send(whole if next(numbers) == 0 else whole[:-500])

    with HttpCamera({"/": handle}) as camera, opened(camera.url("/"), fps=60) as reader:
        assert [unit.damage for unit in units(reader, 2)] == ["", "inside"]


def failing(second: bytes) -> Handler:
    """A camera that gives one image and then something else."""
    numbers = count()

    def handle(exchange: Exchange) -> None:
        exchange.send(answer(numbered_jpeg(0)) if next(numbers) == 0 else second)

    return handle


FAILURES = {
    "busy": (answer(b"", "", "503 Busy"), "busy or starting (503)"),
    "login page": (answer(b"<html>", "text/html"), "a web page or text came (text/html)"),
    "nothing": (answer(b""), "answered with nothing"),
    "hung up": (b"", "ended the connection without an answer"),
    "huge": (answer(length=False) + bytes(33 << 20), "no end within 32 MB"),
}


@pytest.mark.parametrize(("second", "meaning"), FAILURES.values(), ids=FAILURES)
def test_a_failed_poll_ends_the_images_with_its_error(second: bytes, meaning: str) -> None:
    with HttpCamera({"/": failing(second)}) as camera, opened(camera.url("/"), fps=60) as reader:
        images = reader.items()
        assert number_of(next(images).data) == 0
        with pytest.raises(SourceError) as caught:
            next(images)
    assert meaning in str(caught.value)


def test_a_new_password_ends_the_images() -> None:
    refusal = answer(b"", "", "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
    with HttpCamera({"/": failing(refusal)}) as camera, opened(camera.url("/"), fps=60) as reader:
        images = reader.items()
        next(images)
        with pytest.raises(AccessDenied):
            next(images)


def test_a_camera_that_dies_ends_the_images() -> None:
    handler = numbered("Connection: close", keep=False)
    with HttpCamera({"/": handler}) as camera, opened(camera.url("/"), fps=60) as reader:
        images = reader.items()
        next(images)
        camera.stop()
        with pytest.raises(SourceError, match=r"connection refused|without an answer"):
            list(images)


def test_interrupt_ends_the_wait_between_images() -> None:
    with HttpCamera({"/": numbered()}) as camera, opened(camera.url("/"), fps=0.01) as reader:
        started = monotonic()
        assert len(units(reader, 1)) == 1
        assert monotonic() - started < PATIENCE_S


def test_interrupt_ends_the_wait_for_an_answer() -> None:
    numbers = count()
    asked = threading.Event()

    def handle(exchange: Exchange) -> None:
        if next(numbers) == 0:
            exchange.send(answer(numbered_jpeg(0)))
        else:
            asked.set()
            exchange.hold()

    with HttpCamera({"/": handle}) as camera, opened(camera.url("/"), fps=60) as reader:
        images = reader.items()
        next(images)
        interrupting = threading.Thread(target=lambda: asked.wait(PATIENCE_S) and reader.interrupt())
        interrupting.start()
        assert list(images) == []
        interrupting.join()
