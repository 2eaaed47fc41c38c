"""A listening port that can refuse clients while it stays bound."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress

from pipelines.drill.camera.loop import EventLoop

BACKLOG = 64
OnConnection = Callable[[socket.socket, str], None]
"""Called with a client's socket and its address."""


class Listener:
    """Port 0 means any free one; after ``take``, ``host`` and ``port`` are the address for clients."""

    def __init__(self, host: str, port: int, loop: EventLoop, on_connection: OnConnection) -> None:
        self._loop, self._on_connection = loop, on_connection
        self._sock: socket.socket | None = None
        self._open = False
        self.host, self.port = host, port

    def take(self) -> None:
        """Bind the port without listening; raises OSError if another program has it."""
        self._sock = _bound(self.host, self.port)
        self.port = int(self._sock.getsockname()[1])

    def open(self) -> None:
        if not self._open and self._sock is not None:
            self._open = True
            self._sock.listen(BACKLOG)
            self._loop.watch(self._sock, selectors.EVENT_READ, self._accept)

    def shut(self) -> None:
        """Refuse clients: a port that is bound but does not listen answers them with RST."""
        if self._open:
            self.close()
            self.take()

    def close(self) -> None:
        """Release the port."""
        sock, self._sock, self._open = self._sock, None, False
        if sock is not None:
            self._loop.forget(sock)
            sock.close()

    def _accept(self, _events: int) -> None:
        assert self._sock is not None
        with suppress(BlockingIOError, ConnectionAbortedError):  # it may have gone again
            sock, address = self._sock.accept()
            self._on_connection(sock, str(address[0]))


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
