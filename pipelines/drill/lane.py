"""The way from the camera to one client: it can be slow, or hold media back, with an endless queue in front of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from pipelines.drill.camera.loop import EventLoop

CHUNK_BYTES = 1400
"""A slow link sends pieces of the size of a packet."""


class Lane:
    """Sends bytes in their order; only on the thread of ``loop``."""

    def __init__(self, loop: EventLoop, send: Callable[[bytes], None]) -> None:
        self._loop, self._send = loop, send
        self._queue: deque[bytes] = deque()
        self._held: deque[bytes] = deque()
        self._rate: float | None = None
        self._holding = self._armed = False
        self._free_s = 0.0
        self.queued_bytes = 0
        """Bytes that wait, held ones included."""

    def put(self, data: bytes, *, is_media: bool) -> None:
        """Send ``data`` when its turn comes."""
        self.queued_bytes += len(data)
        if is_media and self._holding:
            self._held.append(data)
        else:
            self._queue.append(data)
            self._pump()

    def hold(self, holding: bool) -> None:
        """Hold media back, while answers to requests pass; then send everything that was held at once."""
        self._holding = holding
        if not holding:
            self._queue += self._held
            self._held.clear()
            self._pump()

    def limit(self, bytes_per_s: float | None) -> None:
        """Send no faster than this; None: as fast as it goes."""
        self._rate = bytes_per_s
        self._pump()

    def _pump(self) -> None:
        while self._queue and not self._armed:
            if self._rate is None:
                data = self._queue.popleft()
            else:
                data = self._next_chunk(self._rate)
                if not data:
                    return
            self.queued_bytes -= len(data)
            self._send(data)

    def _next_chunk(self, rate: float) -> bytes:
        """The next piece if the link is free; else b"", and the sending goes on when it is."""
        now = time.monotonic()
        if self._free_s > now:
            self._armed = True
            self._loop.at(self._free_s, self._on_free)
            return b""
        data = self._queue.popleft()
        if len(data) > CHUNK_BYTES:
            self._queue.appendleft(data[CHUNK_BYTES:])
            data = data[:CHUNK_BYTES]
        # From the due time on, not from now, so that a late timer does not make the link slower than it should be.
        self._free_s = max(self._free_s, now - 0.05) + len(data) / rate
        return data

    def _on_free(self) -> None:
        self._armed = False
        self._pump()
