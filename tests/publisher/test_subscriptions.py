"""Subscriptions from a real XPUB socket: counted, and forgotten when the readers go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import zmq

from stream.publisher.subscriptions import Subscriptions, matches
from stream.wire.message import subscription, topic_bytes

CAM1, CAM10 = topic_bytes("depth/cam1"), topic_bytes("depth/cam10")
PATIENCE_MS = 20_000


MakeSocket = Callable[[int], zmq.Socket[bytes]]


@pytest.fixture
def make_socket() -> Iterator[MakeSocket]:
    """``make_socket(zmq.SUB)``; all are closed in the end."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        context.linger = 0
        yield lambda kind: stack.enter_context(context.socket(kind))


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        (b"", True),
        (b"depth/", True),
        (subscription("depth/cam1"), True),
        (CAM1 + b"VDF1", True),
        (b"depth/cam10", False),
        (b"preview/", False),
    ],
)
def test_a_prefix_wants_what_begins_with_it(prefix: bytes, wanted: bool) -> None:
    """ZeroMQ itself compares the bytes of a subscription that follow the topic."""
    assert matches(prefix, CAM1) is wanted


def test_with_its_nul_cam1_is_not_cam10() -> None:
    """Without the NUL, it matches."""
    assert not matches(subscription("depth/cam1"), CAM10)
    assert matches(b"depth/cam1", CAM10)


def test_each_reader_counts_until_the_last_has_gone() -> None:
    """Only then the topic has no reader."""
    readers = Subscriptions()
    assert [readers.feed(b"\1depth/cam1") for _ in range(2)] == [b"depth/cam1"] * 2
    assert readers.count(b"depth/") == 2
    assert readers.feed(b"\0depth/cam1") is None
    assert readers.want(CAM1)
    readers.feed(b"\0depth/cam1")
    assert not readers.want(CAM1)
    assert readers.count(b"depth/") == 0


def test_all_and_nothing_are_counted_with_every_family() -> None:
    """A subscription to everything is one to depth."""
    readers = Subscriptions()
    for prefix in (b"", b"dep", b"depth/", b"depth/a\0", b"preview/a\0"):
        readers.feed(b"\1" + prefix)
    assert (readers.count(b"depth/"), readers.count(b"preview/"), readers.count(b"info/")) == (4, 2, 1)


@pytest.mark.parametrize("message", [b"", b"\2", b"hello", b"\0never subscribed"])
def test_whatever_else_a_reader_sends_changes_nothing(message: bytes) -> None:
    """Readers are other people's programs."""
    readers = Subscriptions()
    assert readers.feed(message) is None
    assert not readers.want(CAM1)
    readers.feed(b"\1depth/")
    assert readers.count(b"depth/") == 1


def test_zeromq_reports_readers_that_vanish(make_socket: MakeSocket) -> None:
    """With XPUB_VERBOSER it reports each of them, not only the last one."""
    readers, publisher = Subscriptions(), make_socket(zmq.XPUB)
    publisher.setsockopt(zmq.XPUB_VERBOSER, 1)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    sockets = [make_socket(zmq.SUB) for _ in range(3)]
    for socket in sockets:
        socket.subscribe(subscription("depth/cam1"))
        socket.connect(f"tcp://127.0.0.1:{port}")
    counts = []

    def hear() -> None:
        readers.feed(_received(publisher))

    for _ in sockets:
        hear()
        counts.append(readers.count(b"depth/"))
    for socket in sockets:
        socket.close()
        hear()
        counts.append(readers.count(b"depth/"))
    assert counts == [1, 2, 3, 2, 1, 0]


def _received(socket: zmq.Socket[bytes]) -> bytes:
    assert socket.poll(PATIENCE_MS), "nothing came"
    return socket.recv()
