"""How the publisher's thread waits: for readers, for a call from another thread, or for the time."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from typing import Any


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
