"""No message is overwritten on its way, however slowly a reader reads, and no reader misses one for lack of memory."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import numpy as np
import pytest
import zmq

from stream.core.clock import Deadline
from stream.publisher import socket as publisher_socket
from stream.publisher.buffers import MAX_FREE, SendBuffers
from stream.publisher.socket import PublisherSocket
from stream.settings import PublishSettings

SIZE = 1 << 20
PATIENCE_S = 20.0
MakeSocket = Callable[[int], zmq.Socket[bytes]]


@pytest.fixture(scope="module", autouse=True)
def pyzmq_has_its_thread() -> None:
    """pyzmq starts one for the whole process when memory is lent for the first time."""
    zmq.Frame(bytes(1), copy=False, track=True)


@pytest.fixture
def make_socket() -> Iterator[MakeSocket]:
    """``make_socket(zmq.SUB)``; all are closed in the end."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        context.linger = 0
        yield lambda kind: stack.enter_context(context.socket(kind))


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[PublisherSocket]:
    """The real one: two messages a reader. With heartbeats ZeroMQ may abort us when a full reader wakes up."""
    monkeypatch.setattr(publisher_socket, "HEARTBEAT_MS", 0)
    with closing(PublisherSocket(PublishSettings(endpoints=("tcp://127.0.0.1:*",)))) as socket:
        yield socket


def reader(make_socket: MakeSocket, publisher: PublisherSocket) -> zmq.Socket[bytes]:
    """A reader of everything with small buffers, which does not read by itself."""
    socket = make_socket(zmq.SUB)
    socket.rcvhwm, socket.rcvbuf = 1, 64 * 1024
    socket.subscribe(b"")
    socket.connect(publisher.endpoints[0])
    while not list(publisher.requests()):
        readable, _, _ = select.select([publisher.fileno], [], [], PATIENCE_S)
        assert readable, "the reader did not subscribe"
    return socket


def send(buffers: SendBuffers, publisher: PublisherSocket, number: int) -> memoryview:
    """A message that is full of its own number."""
    buffer = buffers.take(SIZE)
    np.frombuffer(buffer, np.uint32)[:] = number
    buffers.send(publisher, buffer, SIZE)
    return buffer


def numbers(socket: zmq.Socket[bytes], wait_ms: int = 300) -> list[int]:
    """The numbers of what arrived, at least one; each message must hold one number only."""
    seen: list[int] = []
    while socket.poll(wait_ms if seen else 1000 * PATIENCE_S):
        values = np.frombuffer(socket.recv(), np.uint32)
        assert (values == values[0]).all(), f"message {values[0]} was overwritten on its way"
        seen.append(int(values[0]))
    return seen


def wait_for_lent(buffers: SendBuffers, most: int) -> None:
    """Until no more than these are on their way."""
    deadline = Deadline.after(PATIENCE_S)
    while buffers.lent > most:
        assert not deadline.passed, f"{buffers.lent} are still lent"
        threading.Event().wait(0.001)


def test_what_a_stalled_reader_gets_was_not_overwritten(make_socket: MakeSocket, publisher: PublisherSocket) -> None:
    """It sleeps through 100 messages while another reads them all, and the memory of what it holds stays untouched."""
    buffers, stalled, lively = SendBuffers(), reader(make_socket, publisher), reader(make_socket, publisher)
    used = set()
    for number in range(100):
        used.add(id(send(buffers, publisher, number).obj))
        assert numbers_of_one(lively) == number
        wait_for_lent(buffers, 6)  # pyzmq gives memory back in a thread of its own
    assert buffers.lent >= 1
    assert len(used) < 20, "buffers are used again"
    seen = numbers(stalled)
    assert seen[0] == 0
    assert len(seen) < 10, "it was meant to miss most"
    assert buffers.copied_for_lack == 0


@pytest.mark.slow
def test_when_all_buffers_are_lent_messages_are_copied(make_socket: MakeSocket, publisher: PublisherSocket) -> None:
    """Readers that stopped one after the other hold all of them; the one that reads misses nothing."""
    buffers, lively = SendBuffers(max_lent=4), reader(make_socket, publisher)
    stalled, number = [], 0
    for _ in range(4):
        stalled.append(reader(make_socket, publisher))
        for _ in range(8):
            send(buffers, publisher, number)
            assert numbers_of_one(lively) == number
            number += 1
    assert buffers.copied_for_lack > 0
    assert buffers.lent <= 4
    for socket in stalled:
        assert numbers(socket)


def test_buffers_come_back_when_the_reader_has_read(make_socket: MakeSocket, publisher: PublisherSocket) -> None:
    """At most MAX_FREE of them are kept."""
    buffers, stalled = SendBuffers(), reader(make_socket, publisher)
    for number in range(12):
        send(buffers, publisher, number)
    assert buffers.lent > 0
    numbers(stalled)
    wait_for_lent(buffers, 0)
    assert len(buffers._free) <= MAX_FREE


def test_small_messages_are_copied_and_one_buffer_serves_all(
    make_socket: MakeSocket, publisher: PublisherSocket
) -> None:
    """ZeroMQ never sees our memory."""
    buffers, sub = SendBuffers(lend_from_bytes=SIZE + 1), reader(make_socket, publisher)
    used = set()
    for number in range(5):
        used.add(id(send(buffers, publisher, number).obj))
        assert numbers_of_one(sub) == number
    assert len(used) == 1
    assert (buffers.lent, buffers.copied_for_lack) == (0, 0)


def test_a_taken_buffer_has_one_owner() -> None:
    """A buffer that was never sent is not reused, and a small message does not get the buffer of a huge one."""
    buffers = SendBuffers()
    first, second = buffers.take(100), buffers.take(100)
    assert first.obj is not second.obj
    assert len(first) >= 100

    class Nowhere:
        def send(self, data: memoryview, *, copy: bool, track: bool) -> None:
            assert (copy, track) == (True, False)

    buffers.send(Nowhere(), first, 100)
    assert len(buffers.take(49)) == 49
    assert buffers.take(60).obj is first.obj


def numbers_of_one(socket: zmq.Socket[bytes]) -> int:
    assert socket.poll(1000 * PATIENCE_S), "nothing came"
    return int(np.frombuffer(socket.recv(), np.uint32)[0])
