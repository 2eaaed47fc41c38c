"""The publisher's socket: XPUB on all endpoints, in its own context, with CURVE authentication where keys are set."""

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
"""The kernel's send buffer. Its content is old when a slow reader gets it; smaller buffers cost throughput, and so does
the kernel's default (1.2 MB messages a second over loopback: 64 kB 2.2 thousand, 256 kB 2.4, unset 1.4)."""
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 1000, 3000
"""A reader whose machine is gone is disconnected after the timeout; it may connect again. One that merely stands still
is kept: the heartbeat waits behind the depth it does not read. It is fresh again 10 ms after it wakes (measured, asleep
for 8 s)."""
MAX_REQUEST_BYTES = 4096
"""Readers send nothing but subscriptions."""


class PublisherSocket:
    """Open from construction until ``close``. Not thread-safe: the publisher's lock guards every call.

    Raises SinkError for an endpoint that cannot be bound and for an invalid folder of keys.
    """

    def __init__(self, settings: PublishSettings) -> None:
        import zmq

        self._zmq = zmq
        with ExitStack() as undo:
            context = zmq.Context()
            # Undone in reverse order: term waits for open sockets, so it must come last.
            undo.callback(context.term)
            self._gate = CurveGate(context, Path(settings.keys).expanduser()) if settings.keys else None
            if self._gate:
                undo.callback(self._gate.stop)
            self._socket: zmq.Socket[bytes] = context.socket(zmq.XPUB)
            undo.callback(self._socket.close)
            self._set_options(settings)
            self.endpoints = tuple(self._bind(undo, endpoint) for endpoint in settings.endpoints)
            """Addresses for readers, with the port that the system assigned for ``*``."""
            self._undo = undo.pop_all()
        self.fileno = int(self._socket.getsockopt(zmq.FD))
        """Readable when ``requests`` may have something; edge-triggered, so read ``requests`` after every use."""

    @property
    def refused(self) -> int:
        """Number of connections refused because the reader's key is not known."""
        return self._gate.refused if self._gate else 0

    def requests(self) -> Iterator[bytes]:
        """Messages from readers since the last call: subscriptions, unsubscriptions, or arbitrary bytes."""
        while int(self._socket.getsockopt(self._zmq.EVENTS)) & self._zmq.POLLIN:
            yield self._socket.recv(self._zmq.NOBLOCK)

    def send(self, data: bytes | memoryview, *, copy: bool = True, track: bool = False) -> Any:
        """Send to all subscribers without waiting; a reader whose queue is full misses the message."""
        # ZeroMQ notices what readers took when its events are queried, else once in 3 million clock ticks (a
        # millisecond): with two messages a reader, one that keeps up would miss the third of a quick row.
        self._socket.getsockopt(self._zmq.EVENTS)
        return self._socket.send(data, self._zmq.NOBLOCK, copy=copy, track=track)

    def close(self) -> None:
        """Close the socket and its context; unsent messages are dropped."""
        self._undo.close()

    def _set_options(self, settings: PublishSettings) -> None:
        socket, zmq = self._socket, self._zmq
        # VERBOSER passes on every subscription and unsubscription, so that Subscriptions can count readers.
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, settings.high_water_mark)
        socket.setsockopt(zmq.SNDBUF, SEND_BUFFER_BYTES)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.IPV6, any("[" in endpoint for endpoint in settings.endpoints))
        if self._gate:
            self._gate.guard(socket)

    def _bind(self, undo: ExitStack, endpoint: str) -> str:
        bound = bind(self._socket, endpoint)
        if path := ipc_path(bound):
            undo.callback(_remove, path, path.stat().st_ino)
        return bound


class RequestWaiter:
    """Lets one thread wait for the socket's requests while any thread can wake it. Needs ``close``."""

    def __init__(self, fileno: int) -> None:
        self._write_end, self._read_end = socket.socketpair()
        for end in (self._write_end, self._read_end):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(fileno, selectors.EVENT_READ)
        self._selector.register(self._read_end, selectors.EVENT_READ)

    def wait(self, timeout_s: float) -> None:
        """Wait until ``fileno`` is readable, ``wake`` is called (or was, since the last wait), or the time is over."""
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._read_end:
                with suppress(BlockingIOError):
                    self._read_end.recv(4096)

    def wake(self) -> None:
        """End the present wait, or the next one."""
        with suppress(BlockingIOError):  # the pipe is full of earlier calls that the thread has yet to read
            self._write_end.send(b"!")

    def close(self) -> None:
        parts: tuple[Any, ...] = (self._selector, self._write_end, self._read_end)
        for part in parts:
            part.close()


def _remove(path: Path, inode: int) -> None:
    """Remove the socket file, which ZeroMQ leaves behind, unless another publisher has replaced it by now."""
    with suppress(OSError):
        if path.stat().st_ino == inode:
            path.unlink()
