"""Thread-safe notifier: any thread wakes the coroutines of one event loop that wait for something new."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Notifier:
    """Notifications that arrive before the loop has woken its listeners count once.

    A busy loop therefore accumulates no backlog of callbacks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listeners: set[asyncio.Event] = set()
        self._is_pending = False

    def notify(self) -> None:
        """Wake all listeners. Any thread may call it; it never blocks and does nothing once the loop is closed."""
        if not self._is_pending:
            self._is_pending = True
            with suppress(RuntimeError):  # the loop is closed and has no listeners left
                self._loop.call_soon_threadsafe(self._wake)

    @contextmanager
    def listener(self) -> Iterator[asyncio.Event]:
        """An event of the caller's own that every notification sets.

        Clear it before looking for something new, not after: otherwise a notification in between is lost.
        """
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            yield event
        finally:
            self._listeners.discard(event)

    def _wake(self) -> None:
        self._is_pending = False  # first, so that anything written from here on notifies again
        for event in self._listeners:
            event.set()
