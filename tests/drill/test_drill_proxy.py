"""The fault proxy, between a real server and a real client on this machine."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from pipelines.drill.faults import Loss, WrongClock, stands_still
from pipelines.drill.proxy import HOST, FaultProxy
from pipelines.drill.wire import Piece, Splitter, rtp_time

WAIT_S = 10.0
ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\nbody"


def rtp(seq: int, ticks: int = 0, size: int = 100) -> bytes:
    """One interleaved RTP packet on channel 0."""
    packet = struct.pack("!BBHII", 0x80, 96, seq, ticks, 7) + bytes(size)
    return Piece(packet, 0).bytes


class Camera:
    """A server that gives its connections to the test, one after the other."""

    def __init__(self) -> None:
        self._server = socket.create_server((HOST, 0))
        self._server.settimeout(WAIT_S)
        self.address: tuple[str, int] = self._server.getsockname()

    def connection(self) -> socket.socket:
        sock, _ = self._server.accept()
        sock.settimeout(WAIT_S)
        return sock

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    one = Camera()
    yield one
    one.close()


@contextmanager
def proxied(camera: Camera, *, is_rtsp: bool = True, hit: Callable[[int], None] = print) -> Iterator[FaultProxy]:
    with FaultProxy(camera.address, is_rtsp=is_rtsp, seen=lambda *seen: None, hit=hit) as proxy:
        yield proxy


@contextmanager
def connected(camera: Camera, proxy: FaultProxy) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends: the client's socket and the camera's."""
    with socket.create_connection((HOST, proxy.port), timeout=WAIT_S) as client, camera.connection() as far:
        yield client, far


def received(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return bytes(data)


def test_bytes_pass_unchanged_in_both_directions(camera: Camera) -> None:
    """Requests with credentials, answers, packets, and what it does not understand."""
    request = b"DESCRIBE rtsp://camera/live RTSP/1.0\r\nAuthorization: Basic dTpw\r\n\r\n"
    media = ANSWER + b"".join(rtp(n, size=n * 37 % 1400) for n in range(300)) + ANSWER
    with proxied(camera) as proxy, connected(camera, proxy) as (client, far):
        client.sendall(request)
        assert received(far, len(request)) == request
        sender = threading.Thread(target=far.sendall, args=(media,))
        sender.start()
        assert received(client, len(media)) == media
        sender.join()
        assert proxy.received_bytes == len(media)


def test_a_stream_that_is_not_rtsp_passes_as_it_is(camera: Camera) -> None:
    """HTTP, with bytes in it that would begin a packet in RTSP."""
    media = b"HTTP/1.0 200 OK\r\n\r\n" + bytes(range(256)) * 500
    with proxied(camera, is_rtsp=False) as proxy, connected(camera, proxy) as (client, far):
        far.sendall(media)
        assert received(client, len(media)) == media


def test_it_listens_on_the_loopback_address_only(camera: Camera) -> None:
    """Another machine cannot get at the camera through it."""
    with proxied(camera) as proxy, connected(camera, proxy) as (client, _):
        assert client.getpeername() == ("127.0.0.1", proxy.port)
        other = socket.socket()
        other.bind(("127.0.0.2", proxy.port))  # free, so the proxy does not have all addresses
        other.close()


def test_cut_ends_the_connection_by_fin_or_rst(camera: Camera) -> None:
    """And the camera's end of it, too; the next connection is welcome."""
    with proxied(camera) as proxy:
        with connected(camera, proxy) as (client, far):
            client.sendall(b"x")
            assert received(far, 1) == b"x"
            proxy.cut("fin")
            assert client.recv(1) == b""
            assert far.recv(1) == b""
        with connected(camera, proxy) as (client, far):
            client.sendall(b"x")
            assert received(far, 1) == b"x"
            proxy.cut("rst")
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_when_the_camera_ends_the_client_ends(camera: Camera) -> None:
    """As without a proxy."""
    with proxied(camera) as proxy, connected(camera, proxy) as (client, far):
        far.close()
        assert client.recv(1) == b""


def test_refused_clients_are_refused_until_they_are_welcome_again(camera: Camera) -> None:
    """The port stays the same."""
    with proxied(camera) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, proxy.port), timeout=WAIT_S)
        proxy.refuse(False)
        with connected(camera, proxy) as (client, far):
            far.sendall(ANSWER)
            assert received(client, len(ANSWER)) == ANSWER


def test_a_camera_that_is_away_breaks_the_connection(camera: Camera) -> None:
    """It is refused a moment later than without a proxy."""
    camera.close()
    # The end may come before create_connection has returned.
    with (
        proxied(camera) as proxy,
        pytest.raises(ConnectionResetError),
        socket.create_connection((HOST, proxy.port), timeout=WAIT_S) as client,
    ):
        client.recv(1)


def test_held_media_waits_while_answers_pass(camera: Camera) -> None:
    """And then comes at once, in its order, also on a connection made meanwhile."""
    with proxied(camera) as proxy:
        proxy.hold()
        with connected(camera, proxy) as (client, far):
            far.sendall(rtp(1) + ANSWER + rtp(2))
            assert received(client, len(ANSWER)) == ANSWER
            far.sendall(rtp(3) + ANSWER)
            assert received(client, len(ANSWER)) == ANSWER
            assert proxy.queued_bytes == 3 * len(rtp(1))
            proxy.hold(False)
            assert received(client, 3 * len(rtp(1))) == rtp(1) + rtp(2) + rtp(3)


def test_a_slow_link_is_as_slow_as_it_should_be(camera: Camera) -> None:
    """40 kB at 200 kB/s; the rest waits in a queue that can be measured."""
    media = b"".join(rtp(n, size=1000) for n in range(40))
    with proxied(camera) as proxy:
        proxy.limit(200_000)
        with connected(camera, proxy) as (client, far):
            began = time.monotonic()
            far.sendall(media + ANSWER)
            longest = max(proxy.queued_bytes for _ in range(5))
            assert received(client, len(media)) == media
            assert time.monotonic() - began > 0.13  # a little less than 0.2 s, because the first 50 ms are a credit
            assert longest > 0
            proxy.limit(None)
            assert received(client, len(ANSWER)) == ANSWER


def test_lost_packets_are_lost_on_open_connections_and_answers_are_not(camera: Camera) -> None:
    """Every third; the times of what is lost are told."""
    hits: list[int] = []
    with proxied(camera, hit=hits.append) as proxy, connected(camera, proxy) as (client, far):
        proxy.alter(partial(Loss, every=3))
        far.sendall(b"".join(rtp(n, 90 * n) for n in range(6)) + ANSWER)
        expected = rtp(0) + rtp(1, 90) + rtp(3, 270) + rtp(4, 360) + ANSWER
        assert received(client, len(expected)) == expected
        assert hits == [180, 450]
        proxy.alter(None)
        far.sendall(rtp(6))
        assert received(client, len(rtp(6))) == rtp(6)


def test_the_witness_sees_what_came_and_what_goes_on(camera: Camera) -> None:
    """With the moment of its arrival, before the fault does any harm."""
    seen: list[tuple[int, int]] = []

    def see(piece: Piece, sent: list[Piece], at_ns: int) -> None:
        assert abs(time.monotonic_ns() - at_ns) < 60e9
        seen.append((rtp_time(piece.data), rtp_time(sent[0].data)))

    with FaultProxy(camera.address, is_rtsp=True, seen=see, hit=print) as proxy:
        proxy.alter(lambda hit: WrongClock(stands_still))
        with connected(camera, proxy) as (client, far):
            far.sendall(rtp(1, 5000) + rtp(2, 8600))
            pieces = list(Splitter(is_rtsp=True).feed(received(client, 2 * len(rtp(1)))))
    assert seen == [(5000, 5000), (8600, 5000)]
    assert [rtp_time(piece.data) for piece in pieces] == [5000, 5000]
