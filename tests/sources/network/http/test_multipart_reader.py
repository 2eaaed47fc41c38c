"""Motion JPEG over real connections: read at once, however it is sent, and ended soon."""

from __future__ import annotations

import threading
from contextlib import suppress
from random import Random
from time import monotonic_ns

import pytest

from stream.errors import SourceBehind, SourceError
from tests.sources.network.http.http_camera import (
    CERTIFICATE,
    PATIENCE_S,
    Exchange,
    HttpCamera,
    always,
    answer,
    number_of,
    numbered_jpeg,
    opened,
    part,
    stream_head,
    units,
)

IMAGES = [numbered_jpeg(number) for number in range(10)]
"""Together they are smaller than a receive buffer: a busy machine must not fill it."""
CA = {"tls_ca": str(CERTIFICATE)}
CHUNKED = answer(b"", "multipart/x-mixed-replace; boundary=image", "200 OK", "Transfer-Encoding: chunked", length=False)


def chunks(body: bytes, seed: int) -> bytes:
    """``body`` in chunks that take no notice of the images, and no end."""
    rng, coded, at = Random(seed), bytearray(), 0
    while at < len(body):
        piece = body[at : at + rng.randrange(1, 3000)]
        coded += f"{len(piece):X};name=value\r\n".encode() + piece + b"\r\n"
        at += len(piece)
    return bytes(coded)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
def test_all_images_arrive_and_none_waits_for_the_next(tls: bool, chunked: bool) -> None:
    body = b"".join(map(part, IMAGES))
    data = CHUNKED + chunks(body, 7) if chunked else stream_head() + body
    with HttpCamera({"/": always(data, hold=True)}, tls=tls) as camera, opened(camera.url("/"), **CA) as reader:
        found = units(reader, len(IMAGES))
    assert [number_of(unit.data) for unit in found] == list(range(len(IMAGES)))
    assert all(unit.keyframe and not unit.damage and unit.media_s is None for unit in found)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_an_image_is_stamped_between_its_sending_and_its_delivery(tls: bool) -> None:
    """One at a time: each is sent when the one before was delivered."""
    sent: list[tuple[int, int]] = []
    wanted = threading.Semaphore(1)

    def push(exchange: Exchange) -> None:
        exchange.send(stream_head())
        for jpeg in IMAGES:
            wanted.acquire(timeout=PATIENCE_S)
            before_ns = monotonic_ns()
            exchange.send(part(jpeg))
            sent.append((before_ns, monotonic_ns()))
        exchange.hold()

    with HttpCamera({"/": push}, tls=tls) as camera, opened(camera.url("/"), **CA) as reader:
        found = []
        for unit in reader.items():
            found.append((unit, monotonic_ns()))
            wanted.release()
            if len(found) == len(IMAGES):
                reader.interrupt()
    for (unit, delivered_ns), (_, after_ns) in zip(found, sent, strict=True):
        assert unit.first_ns <= after_ns + 100_000_000
        assert unit.first_ns <= unit.complete_ns <= delivered_ns
    older_ns = [before_ns - unit.first_ns for (unit, _), (before_ns, _) in zip(found, sent, strict=True)]
    assert min(older_ns) <= 100_000_000, "a machine that is busy all the time makes them older"


def test_a_slow_image_is_as_old_as_its_first_byte() -> None:
    jpeg, began_ns = IMAGES[0], []

    def push(exchange: Exchange) -> None:
        exchange.send(stream_head() + part(jpeg)[:200])
        began_ns.append(monotonic_ns())
        exchange.over.wait(0.4)
        exchange.send(part(jpeg)[200:])
        exchange.hold()

    with HttpCamera({"/": push}) as camera, opened(camera.url("/")) as reader:
        (unit,) = units(reader, 1)
    assert unit.first_ns <= began_ns[0] + 100_000_000
    assert unit.complete_ns - unit.first_ns >= 290_000_000


def test_multi_megabyte_images_are_read() -> None:
    """A machine that does not read for half a second may need another connection."""
    large = numbered_jpeg(5, (2000, 3200), 1, 100)
    assert len(large) > 4_000_000
    data = stream_head() + part(large) * 3
    with HttpCamera({"/": always(data, hold=True)}) as camera:
        for _ in range(10):
            with opened(camera.url("/")) as reader, suppress(SourceBehind):
                assert [len(unit.data) for unit in units(reader, 3)] == [len(large)] * 3
                return
    pytest.fail("behind ten times")


def test_the_cameras_end_ends_the_images() -> None:
    data = stream_head() + part(IMAGES[0]) + part(IMAGES[1])[:500]
    with HttpCamera({"/": always(data)}) as camera, opened(camera.url("/")) as reader:
        assert [number_of(unit.data) for unit in reader.items()] == [0]


def test_the_last_chunk_ends_the_images() -> None:
    data = CHUNKED + chunks(part(IMAGES[0]), 1) + b"0\r\nX-Trailer: 1\r\n\r\n"
    with HttpCamera({"/": always(data, hold=True)}) as camera, opened(camera.url("/")) as reader:
        assert [number_of(unit.data) for unit in reader.items()] == [0]


@pytest.mark.parametrize(
    ("data", "meaning"),
    [
        (CHUNKED + chunks(part(IMAGES[0]), 1) + b"what?\r\n", "chunks make no sense"),
        (CHUNKED + b"1" * 5000, "chunks make no sense"),
        (CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n", "chunks make no sense"),
    ],
)
def test_a_stream_that_makes_no_sense_is_an_error(data: bytes, meaning: str) -> None:
    with HttpCamera({"/": always(data, hold=True)}) as camera, opened(camera.url("/")) as reader:
        images = reader.items()
        with pytest.raises(SourceError, match=meaning):
            list(images)


def test_a_cut_connection_is_an_error() -> None:
    """A reset, as a camera that restarts sends it."""

    def cut(exchange: Exchange) -> None:
        exchange.send(stream_head() + part(IMAGES[0]))
        delivered.wait(PATIENCE_S)
        exchange.sock.setsockopt(1, 13, (1).to_bytes(4, "little") + bytes(4))  # SO_LINGER of 0 s
        exchange.sock.close()

    delivered = threading.Event()
    with HttpCamera({"/": cut}) as camera, opened(camera.url("/")) as reader:
        images = reader.items()
        assert number_of(next(images).data) == 0
        delivered.set()
        with pytest.raises(SourceError, match="the camera cut the connection"):
            next(images)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_interrupt_ends_a_silent_stream(tls: bool) -> None:
    silent = always(stream_head(), hold=True)
    with HttpCamera({"/": silent}, tls=tls) as camera, opened(camera.url("/"), **CA) as reader:
        timer = threading.Timer(0.1, reader.interrupt)
        timer.start()
        assert list(reader.items()) == []
        timer.join()
        reader.close()
        reader.close()
        reader.interrupt()
