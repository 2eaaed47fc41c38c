"""The publisher's socket: XPUB on all endpoints, in a context of its own, guarded where there are keys."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.publisher.curve_auth import CurveGate
from stream.publisher.endpoints import bind, ipc_path
from stream.settings import PublishSettings

if TYPE_CHECKING:
    import zmq


SEND_BUFFER_BYTES = 128 * 1024
"""Of the kernel. What waits there is old when a slow reader gets it; smaller ones cost throughput, and so does the
kernel's own choice (1.2 MB messages a second over loopback: 64 kB 2.2 thousand, 256 kB 2.4, unset 1.4)."""
HEARTBEAT_MS, SILENCE_MS = 1000, 3000
"""A reader whose machine is gone is let go after so long; it may connect again. One that merely stands still is kept:
the question waits behind the depth it does not take. It is fresh again 10 ms after it wakes (measured, asleep 8 s)."""
LARGEST_REQUEST_BYTES = 4096
"""Readers send nothing but subscriptions."""


class PublisherSocket:
    """Open from construction until ``close``; not thread-safe: its owner's lock guards every call.

    Raises SinkError for an endpoint that cannot be bound and for a folder of keys that is not as it should be.
    """

    def __init__(self, settings: PublishSettings) -> None:
        import zmq

        self._zmq = zmq
        with ExitStack() as undo:
            context = zmq.Context()
            undo.callback(context.term)
            self._gate = CurveGate(context, Path(settings.keys).expanduser()) if settings.keys else None
            if self._gate:
                undo.callback(self._gate.stop)
            self._socket: zmq.Socket[bytes] = context.socket(zmq.XPUB)
            undo.callback(self._socket.close)
            self._set_up(settings)
            self.endpoints = tuple(self._bind(undo, endpoint) for endpoint in settings.endpoints)
            """Where readers connect, with the port that was got for ``*``."""
            self._undo = undo.pop_all()
        self.fileno = int(self._socket.getsockopt(zmq.FD))
        """Readable when there may be something in ``requests``: edge-triggered, so look there after every use."""

    @property
    def refused(self) -> int:
        """Connections of readers whose key is not known."""
        return self._gate.refused if self._gate else 0

    def requests(self) -> Iterator[bytes]:
        """What readers have sent since the last call: subscriptions and their ends, or anything."""
        while int(self._socket.getsockopt(self._zmq.EVENTS)) & self._zmq.POLLIN:
            yield self._socket.recv(self._zmq.NOBLOCK)

    def send(self, data: bytes | memoryview, *, copy: bool = True, track: bool = False) -> Any:
        """To whoever wants it. A reader that has not taken the ones before misses it; never waits."""
        # ZeroMQ hears what readers took when it is asked, else once in 3 million clock ticks (a millisecond): with two
        # messages a reader, one that keeps up would miss the third of a quick row.
        self._socket.getsockopt(self._zmq.EVENTS)
        return self._socket.send(data, self._zmq.NOBLOCK, copy=copy, track=track)

    def close(self) -> None:
        """What was not sent is dropped."""
        self._undo.close()

    def _set_up(self, settings: PublishSettings) -> None:
        socket, zmq = self._socket, self._zmq
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, settings.high_water_mark)
        socket.setsockopt(zmq.SNDBUF, SEND_BUFFER_BYTES)
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_REQUEST_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENCE_MS)
        socket.setsockopt(zmq.IPV6, any("[" in endpoint for endpoint in settings.endpoints))
        if self._gate:
            self._gate.guard(socket)

    def _bind(self, undo: ExitStack, endpoint: str) -> str:
        bound = bind(self._socket, endpoint)
        if path := ipc_path(bound):
            undo.callback(_remove, path, path.stat().st_ino)
        return bound


def _remove(path: Path, inode: int) -> None:
    """ZeroMQ leaves the file; by now it may be another publisher's."""
    with suppress(OSError):
        if path.stat().st_ino == inode:
            path.unlink()


class ReadersWait:
    """One thread waits, any thread wakes it. Needs ``close``."""

    def __init__(self, fileno: int) -> None:
        self._ring, self._bell = socket.socketpair()
        for end in (self._ring, self._bell):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(fileno, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def wait(self, timeout_s: float) -> None:
        """Until ``fileno`` is readable, ``wake`` is called (or was, since the last time), or the time is over."""
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._bell:
                with suppress(BlockingIOError):
                    self._bell.recv(4096)

    def wake(self) -> None:
        """End the present wait, or the next one."""
        with suppress(BlockingIOError):  # so many calls wait there already
            self._ring.send(b"!")

    def close(self) -> None:
        closing: tuple[Any, ...] = (self._selector, self._ring, self._bell)
        for part in closing:
            part.close()
