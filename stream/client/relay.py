"""Thread that takes each message off a link as it arrives, for a slow reader that wants more than the newest one."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from stream.client.link import Link, LinkState
from stream.errors import SourceError

QUEUED = 8
"""Messages kept for the reader; when more arrive, the oldest are dropped."""
POLL_MS = 250
"""The thread checks the connection at least this often."""


class Relay:
    """Takes the place of its ``Link``, whose socket only the relay's thread uses from now on. Needs ``close``."""

    monitors: Sequence[Any] = ()
    """Empty, because the thread watches the connection itself."""

    def __init__(self, link: Link) -> None:
        self._link = link
        # Needs no lock: append and popleft are atomic, and nothing but ``receive`` ever empties it.
        self._waiting: deque[tuple[memoryview, int]] = deque(maxlen=QUEUED)
        self._failure: Exception | None = None
        self._closing = threading.Event()
        self._ready_reader, self._ready_writer = socket.socketpair()
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._ready_reader, self._ready_writer):
            end.setblocking(False)
        self.socket = self._ready_reader.fileno()
        """Readable while a message waits; for polling only, its bytes belong to ``receive``."""
        self.empty_ns = link.empty_ns
        self._thread = threading.Thread(target=self._run, name="reader of each frame", daemon=True)
        self._thread.start()

    @property
    def state(self) -> LinkState:
        return self._link.state

    def check_connection(self) -> None:
        """Raise SourceError if the thread has failed and nothing can be received any more."""
        if self._failure is not None:
            raise SourceError(f"frames can no longer be received: {self._failure}") from self._failure

    def receive(self) -> memoryview | None:
        """The next message; None if none waits."""
        if not self._waiting:
            # Drain the signal before looking once more: the thread appends a message before it signals it.
            with suppress(BlockingIOError):
                self._ready_reader.recv(4096)
        if not self._waiting:
            return None
        raw, self.empty_ns = self._waiting.popleft()
        return raw

    def close(self) -> None:
        self._closing.set()
        self._wake_writer.send(b"\0")
        self._thread.join()  # first, because a ZeroMQ socket must not be used by two threads
        self._link.close()
        for end in (self._ready_reader, self._ready_writer, self._wake_reader, self._wake_writer):
            end.close()

    def _run(self) -> None:
        try:
            self._relay_messages()
        except Exception as error:  # noqa: BLE001  # raised again by the next check_connection
            self._failure = error

    def _relay_messages(self) -> None:
        import zmq

        poller = zmq.Poller()
        for readable in (self._link.socket, *self._link.monitors, self._wake_reader):
            poller.register(readable, zmq.POLLIN)
        while not self._closing.is_set():
            self._link.check_connection()
            for raw in self._link.receive_all():
                self._waiting.append((raw, self._link.empty_ns))
                with suppress(BlockingIOError):  # the pipe is full, so the reader is signalled already
                    self._ready_writer.send(b"!")
            poller.poll(POLL_MS)
