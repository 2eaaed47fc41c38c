"""When bytes arrived, over a connection that is read late, in parts, or encrypted."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic_ns

import pytest

from stream.sources.network.http.tcp import BELIEVED_NS, Piece, TcpConnection
from stream.sources.network.http.tls import TlsConnection
from tests.sources.network.http.http_camera import CERTIFICATE, PATIENCE_S

NS = 1_000_000_000


def soon() -> int:
    return monotonic_ns() + int(PATIENCE_S * NS)


@contextmanager
def pair(buffer_bytes: int | None = None) -> Iterator[tuple[TcpConnection, socket.socket]]:
    """A connection, and the socket at its other end. A receive buffer of a given size does not grow."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.socket()
        if buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        mine = TcpConnection(sock)
        mine.connect(server.getsockname(), soon())
        other, _ = server.accept()
    with other:
        other.settimeout(PATIENCE_S)
        other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            yield mine, other
        finally:
            mine.close()


def pause(seconds: float) -> None:
    """Time that must pass, for example to make data wait."""
    threading.Event().wait(seconds)


def test_what_waited_is_as_old_as_its_first_byte() -> None:
    """The system joins all of it, and would give it the time of the last byte."""
    with pair() as (mine, other):
        other.sendall(b"first")
        sent_ns = monotonic_ns()
        for _ in range(10):
            pause(0.03)
            other.sendall(b"more")
        piece = mine.receive(soon())
    assert piece.data == b"first" + 10 * b"more"
    assert piece.first_ns <= sent_ns + BELIEVED_NS
    assert piece.last_ns >= sent_ns + 10 * 30_000_000
    assert not piece.is_overdue, "little waits here, nothing at the sender"


def test_a_prompt_reader_gets_the_kernels_time() -> None:
    """Also after a while of silence: the waits for nothing tell that nothing waited."""
    times: list[tuple[int, int]] = []
    with pair() as (mine, other):

        def send() -> None:
            for _ in range(6):
                pause(0.15)
                before_ns = monotonic_ns()
                other.sendall(b"x")
                times.append((before_ns, monotonic_ns()))

        sender = threading.Thread(target=send)
        sender.start()
        pieces = [mine.receive(soon()) for _ in range(6)]
        sender.join()
    older_ns = [before_ns - piece.first_ns for (before_ns, _), piece in zip(times, pieces, strict=True)]
    assert min(older_ns) <= 1_000_000, "a machine that is busy all the time makes them older"
    assert all(piece.first_ns <= after_ns + BELIEVED_NS for (_, after_ns), piece in zip(times, pieces, strict=True))


def fill(sock: socket.socket) -> None:
    """Send until no more is taken, here and at the other end."""
    sock.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536))
    sock.settimeout(PATIENCE_S)


def test_a_full_buffer_that_was_not_read_for_long_is_overdue() -> None:
    with pair() as (mine, other):
        fill(other)
        pause(0.6)
        assert mine.receive(soon()).is_overdue


def test_what_waited_at_the_sender_counts_as_old() -> None:
    """It reaches this machine late, with a fresh time stamp; until the sender has no more."""
    with pair() as (mine, other):
        fill(other)
        sent_ns = monotonic_ns()
        pause(0.2)
        pieces: list[Piece] = []
        with suppress(TimeoutError):
            while True:
                pieces.append(mine.receive(monotonic_ns() + NS // 2))
        other.sendall(b"fresh")
        fresh = mine.receive(soon())
    assert len(pieces) > 1
    assert all(piece.first_ns <= sent_ns for piece in pieces)
    assert fresh.first_ns > sent_ns + 200_000_000


@pytest.mark.slow
def test_a_buffer_that_is_always_full_is_overdue() -> None:
    """Each read is prompt, and still the sender waits: it is faster than the reader."""
    with pair(buffer_bytes=32768) as (mine, other):
        until_ns = soon()
        fill(other)
        while not mine.receive(until_ns).is_overdue:
            fill(other)


def test_waiting_ends_in_time() -> None:
    with pair() as (mine, _), pytest.raises(TimeoutError):
        mine.receive(monotonic_ns() + NS // 10)


def test_the_other_sides_end_is_an_empty_piece() -> None:
    with pair() as (mine, other):
        other.sendall(b"last")
        other.shutdown(socket.SHUT_WR)
        assert [mine.receive(soon()).data for _ in range(3)] == [b"last", b"", b""]


@contextmanager
def encrypted() -> Iterator[tuple[TlsConnection, ssl.SSLObject, ssl.MemoryBIO, socket.socket]]:
    """A connection, and the other end's TLS, what it would send, and its socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    arrived, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(arrived, leaves, server_side=True)
    with pair() as (tcp, other):
        mine = TlsConnection(tcp, ssl.create_default_context(cafile=CERTIFICATE), "localhost")
        client = threading.Thread(target=mine.handshake, args=(soon(),))
        client.start()
        while True:
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                other.sendall(leaves.read())
                arrived.write(other.recv(65536))
            else:
                break
        other.sendall(leaves.read())
        client.join()
        yield mine, server, leaves, other


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 2000, -1])
def test_a_record_is_as_old_as_its_first_byte(cut: int) -> None:
    """However little of it came early: nothing of a record can be read before all of it is there."""
    with encrypted() as (mine, server, leaves, other):
        server.write(b"early")
        other.sendall(leaves.read())
        early = mine.receive(soon())
        server.write(bytes(4000))
        record = leaves.read()
        other.sendall(record[:cut])
        sent_ns = monotonic_ns()
        received: list[Piece] = []
        reader = threading.Thread(target=lambda: received.append(mine.receive(soon())))
        reader.start()
        pause(0.25)
        other.sendall(record[cut:])
        reader.join()
        server.write(b"later")
        other.sendall(leaves.read())
        later = mine.receive(soon())
    assert (early.data, received[0].data, later.data) == (b"early", bytes(4000), b"later")
    assert received[0].first_ns <= sent_ns + BELIEVED_NS
    assert received[0].last_ns >= sent_ns + 240_000_000
    assert later.first_ns > received[0].first_ns + 100_000_000
