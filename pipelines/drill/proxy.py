"""A proxy between the camera and the product, on 127.0.0.1 only, that does harm when it is told to.

It changes nothing else: requests, answers and credentials pass as they are. A camera that compares the host in a
request with its own, as few do, will refuse it.
"""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic_ns
from typing import Self, TypeVar

from pipelines.drill.camera.link import Ending, Link
from pipelines.drill.camera.listener import Listener
from pipelines.drill.camera.loop import EventLoop
from pipelines.drill.faults import Fault, FaultMaker, Hit
from pipelines.drill.lane import Lane
from pipelines.drill.wire import Piece, Splitter

T = TypeVar("T")
HOST = "127.0.0.1"
Seen = Callable[[Piece, list[Piece], int], None]
"""Called with each piece that came from the camera, what goes on in its place, and when it came (nanoseconds)."""


class FaultProxy:
    """Listens on 127.0.0.1 inside its ``with`` block and connects to the camera for each client.

    A fault holds for the open connections and for later ones, and has taken effect when its method returns.
    """

    def __init__(self, target: tuple[str, int], *, is_rtsp: bool, seen: Seen, hit: Hit) -> None:
        """``hit`` is told the RTP times of what was damaged. Both callbacks run on the proxy's thread."""
        self._loop = EventLoop("fault-proxy")
        self._way = _Way(self._loop, target, is_rtsp, seen, hit)
        self._listener = Listener(HOST, 0, self._loop, self._welcome)
        self._pairs: list[_Pair] = []

    def __enter__(self) -> Self:
        self._listener.take()
        self._loop.start()
        self.refuse(False)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._do(self._listener.close)
        self.cut()
        self._loop.stop()

    @property
    def port(self) -> int:
        """The port; known inside the ``with`` block."""
        return self._listener.port

    @property
    def received_bytes(self) -> int:
        """Bytes that came from the camera so far, over all connections."""
        return self._way.received_bytes

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait in front of a slow link at this moment."""
        return self._do(lambda: sum(pair.lane.queued_bytes for pair in self._pairs))

    @property
    def connections(self) -> int:
        """Connections that were accepted so far."""
        return self._way.accepted

    def refuse(self, refusing: bool = True) -> None:
        """Refuse new connections; the port stays bound."""
        self._do(self._listener.shut if refusing else self._listener.open)

    def cut(self, how: Ending = "fin") -> None:
        """End all connections; new ones are welcome."""
        self._do_to_all(lambda pair: pair.end(how))

    def hold(self, holding: bool = True) -> None:
        """Hold all media back; afterwards what was held comes at once."""
        self._way.holding = holding
        self._do_to_all(lambda pair: pair.lane.hold(holding))

    def limit(self, bytes_per_s: float | None) -> None:
        """Be a slow link."""
        self._way.rate = bytes_per_s
        self._do_to_all(lambda pair: pair.lane.limit(bytes_per_s))

    def alter(self, make: FaultMaker | None) -> None:
        """Change packets by the fault that ``make`` makes for each connection; None: leave them alone."""
        self._way.fault = make
        self._do_to_all(lambda pair: pair.alter(make))

    def _do(self, work: Callable[[], T]) -> T:
        return self._loop.call(work)

    def _do_to_all(self, work: Callable[[_Pair], None]) -> None:
        def work_on_all() -> None:
            for pair in list(self._pairs):
                work(pair)

        self._do(work_on_all)

    def _welcome(self, sock: socket.socket, _peer: str) -> None:
        self._way.accepted += 1
        self._pairs.append(_Pair(sock, self._way, self._pairs.remove))


class _Way:
    """What all connections share."""

    def __init__(self, loop: EventLoop, target: tuple[str, int], is_rtsp: bool, seen: Seen, hit: Hit) -> None:
        self.loop, self.target, self.is_rtsp, self.seen, self.hit = loop, target, is_rtsp, seen, hit
        self.holding = False
        self.rate: float | None = None
        self.fault: FaultMaker | None = None
        self.received_bytes = self.accepted = 0


class _Pair:
    """One client's connection and the one to the camera that belongs to it; if one ends, the other does, too."""

    def __init__(self, sock: socket.socket, way: _Way, on_end: Callable[[_Pair], None]) -> None:
        self._way, self._tell_end = way, on_end
        self._splitter = Splitter(is_rtsp=way.is_rtsp)
        self._fault: Fault | None = None
        self._early = bytearray()
        self._camera: Link | None = None
        self._is_over = False
        self._client = Link(sock, way.loop, self._on_request, lambda: self.end("fin"))
        self.lane = Lane(way.loop, self._client.send)
        self.lane.hold(way.holding)
        self.lane.limit(way.rate)
        self.alter(way.fault)
        self._dialling = self._dial()

    def end(self, how: Ending) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._client.end(how)
        if self._camera is not None:
            self._camera.end("fin")
        elif self._dialling is not None:
            self._way.loop.forget(self._dialling)
            self._dialling.close()
        self._tell_end(self)

    def alter(self, make: FaultMaker | None) -> None:
        self._fault = make(self._way.hit) if make else None

    def _dial(self) -> socket.socket | None:
        """Begin to connect to the camera."""
        host, port = self._way.target
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex((host, port))
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            # Not now: the list of connections does not have this one yet.
            self._way.loop.at(0.0, partial(self.end, "rst"))
            return None
        self._way.loop.watch(sock, selectors.EVENT_WRITE, self._on_dialled)
        return sock

    def _on_dialled(self, _events: int) -> None:
        sock, self._dialling = self._dialling, None
        assert sock is not None
        self._way.loop.forget(sock)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            sock.close()
            self.end("rst")
            return
        self._camera = Link(sock, self._way.loop, self._on_media, lambda: self.end("fin"))
        self._camera.send(bytes(self._early))
        self._early.clear()

    def _on_request(self, data: bytes) -> None:
        if self._camera is not None:
            self._camera.send(data)
        else:
            self._early += data

    def _on_media(self, data: bytes) -> None:
        now = monotonic_ns()
        self._way.received_bytes += len(data)
        for piece in self._splitter.feed(data):
            sent = self._altered(piece)
            self._way.seen(piece, sent, now)
            is_media = not self._way.is_rtsp or piece.channel is not None
            for each in sent:
                self.lane.put(each.bytes, is_media=is_media)

    def _altered(self, piece: Piece) -> list[Piece]:
        if self._fault is None or piece.channel is None:
            return [piece]
        if piece.is_rtp:
            return [Piece(packet, piece.channel) for packet in self._fault.packet(piece.data)]
        return [Piece(self._fault.report(piece.data), piece.channel)] if piece.is_rtcp else [piece]


def resolved(host: str, port: int) -> tuple[str, int]:
    """The numeric address of a host; raises OSError if there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # IPv4 first, as most cameras have nothing else, and an answer with both may come from a name server only.
    best = min(found, key=lambda each: each[0] != socket.AF_INET)
    return str(best[4][0]), int(best[4][1])
