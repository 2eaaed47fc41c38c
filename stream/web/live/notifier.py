"""A bell that any thread rings, for coroutines of one event loop that wait for news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Bell:
    """Rings before the loop has woken its listeners count once, so that a busy loop gathers no backlog."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listeners: set[asyncio.Event] = set()
        self._is_ringing = False

    def ring(self) -> None:
        """From any thread; never waits. Without effect once the loop is closed."""
        if not self._is_ringing:
            self._is_ringing = True
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._wake)

    @contextmanager
    def listener(self) -> Iterator[asyncio.Event]:
        """An event of its own that every ring sets; whoever waits for it clears it before it looks for news."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            yield event
        finally:
            self._listeners.discard(event)

    def _wake(self) -> None:
        self._is_ringing = False  # first: what is written from here on rings again
        for event in self._listeners:
            event.set()
