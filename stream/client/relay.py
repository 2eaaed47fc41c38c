"""Takes each message off a connection as it comes, so that a reader who wants all of them may be slow."""

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
"""Messages that wait for the reader; of more, the newest."""
LOOK_AGAIN_MS = 250


class Relay:
    """In the place of its ``Link``, whose socket is used by a thread of ours from now on. Needs ``close``."""

    monitors: Sequence[Any] = ()
    """The connection is looked after by the thread."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[tuple[memoryview, int]] = deque(maxlen=QUEUED)
        self._failure: Exception | None = None
        self._closing = threading.Event()
        self._bell, self._clapper = socket.socketpair()
        self._woken, self._waker = socket.socketpair()
        for end in (self._bell, self._clapper):
            end.setblocking(False)
        self.socket = self._bell.fileno()
        """Readable while something waits; not to be read."""
        self.empty_ns = link.empty_ns
        self._thread = threading.Thread(target=self._run, name="reader of each frame", daemon=True)
        self._thread.start()

    @property
    def state(self) -> LinkState:
        return self._link.state

    def look(self) -> None:
        """Raises SourceError if nothing can be received any more."""
        if self._failure is not None:
            raise SourceError(f"frames can no longer be received: {self._failure}") from self._failure

    def receive(self) -> memoryview | None:
        """The next message; None when there is none."""
        if not self._waiting:
            with suppress(BlockingIOError):  # silence the bell before looking once more: it rings after what it is for
                self._bell.recv(4096)
        if not self._waiting:
            return None
        raw, self.empty_ns = self._waiting.popleft()
        return raw

    def close(self) -> None:
        self._closing.set()
        self._waker.send(b"\0")
        self._thread.join()
        self._link.close()
        for end in (self._bell, self._clapper, self._woken, self._waker):
            end.close()

    def _run(self) -> None:
        try:
            self._take_all()
        except Exception as error:  # noqa: BLE001  # raised again by the next look
            self._failure = error

    def _take_all(self) -> None:
        import zmq

        poller = zmq.Poller()
        for waiting in (self._link.socket, *self._link.monitors, self._woken):
            poller.register(waiting, zmq.POLLIN)
        while not self._closing.is_set():
            self._link.look()
            for raw in self._link.receive_all():
                self._waiting.append((raw, self._link.empty_ns))
                with suppress(BlockingIOError):  # it rings already
                    self._clapper.send(b"!")
            poller.poll(LOOK_AGAIN_MS)
