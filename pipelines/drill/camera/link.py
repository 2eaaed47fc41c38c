"""One client's TCP connection: it never blocks, and buffers what the client does not read yet."""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from pipelines.drill.camera.loop import EventLoop

Ending = Literal["fin", "rst"]

READ_BYTES = 65_536
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Link:
    """Calls ``on_data`` with received bytes, and ``on_end`` once when the connection ends.

    An ``ssl.SSLSocket`` shakes hands first, as far as the client takes part.
    """

    def __init__(
        self, sock: socket.socket, loop: EventLoop, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._sock, self._loop = sock, loop
        self._shakes_hands = isinstance(sock, ssl.SSLSocket)
        self.own_host = str(sock.getsockname()[0])
        self.is_open = True
        self._on_data, self._on_end = on_data, on_end
        self._waiting = bytearray()
        sock.setblocking(False)
        loop.watch(sock, selectors.EVENT_READ, self._on_ready)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here, besides those in the system's own buffer."""
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        if not self.is_open:
            return
        was_empty = not self._waiting
        self._waiting += data
        if was_empty:
            self._flush()

    def end(self, how: Ending = "fin") -> None:
        """Close now, by FIN or, like a crashed camera's system, by RST."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.forget(self._sock)
        with suppress(OSError):
            if how == "rst":
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                while self._sock.recv(READ_BYTES):  # closing with unread data would send RST
                    pass
        with suppress(OSError):
            if how == "fin":
                self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()
        self._on_end()

    def _on_ready(self, events: int) -> None:
        if self._shakes_hands:
            self._shake_hands()
            return
        if events & selectors.EVENT_READ:
            self._read()
        if self.is_open and events & selectors.EVENT_WRITE:
            self._flush()

    def _shake_hands(self) -> None:
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.watch(self._sock, selectors.EVENT_READ, self._on_ready)
        except ssl.SSLWantWriteError:
            self._loop.watch(self._sock, selectors.EVENT_WRITE, self._on_ready)
        except OSError:  # the client does not trust our certificate, or speaks no TLS
            self.end()
        else:
            self._shakes_hands = False
            self._loop.watch(self._sock, selectors.EVENT_READ, self._on_ready)

    def _read(self) -> None:
        while self.is_open:
            try:
                data = self._sock.recv(READ_BYTES)
            except _LATER:
                return
            except OSError:
                data = b""
            if not data:
                self.end()
                return
            self._on_data(data)
            if not isinstance(self._sock, ssl.SSLSocket):  # its decrypted bytes would wake nothing
                return

    def _flush(self) -> None:
        try:
            del self._waiting[: self._sock.send(self._waiting)]
        except _LATER:
            pass
        except OSError:
            self.end()
            return
        writing = selectors.EVENT_WRITE if self._waiting else 0
        self._loop.watch(self._sock, selectors.EVENT_READ | writing, self._on_ready)
