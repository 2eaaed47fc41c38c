"""Opening a camera without being held up by it: FFmpeg cannot be interrupted while it makes a connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

LOOK_S = 0.05
"""How often ``stopping`` is looked at meanwhile: nothing can wait for two events at once."""


@contextmanager
def opened(source: AbstractContextManager[object], stopping: threading.Event, name: str) -> Iterator[bool]:
    """``with source``, entered by a thread called ``name``; False, and not open, when ``stopping`` came first.

    Then the thread goes on as long as the opening takes, closes what it got, and ends. Raises what opening raises.
    """
    opening = _Opening(source)
    threading.Thread(target=opening.run, name=name, daemon=True).start()
    if not opening.is_open(stopping):
        yield False
        return
    with ExitStack() as stack:
        stack.push(source.__exit__)
        yield True


class _Opening:
    """Between the thread that opens and the one that waits: exactly one of them closes the source."""

    def __init__(self, source: AbstractContextManager[object]) -> None:
        self._source = source
        self._lock, self._done = threading.Lock(), threading.Event()
        self._abandoned = False
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._source.__enter__()
        except Exception as error:  # noqa: BLE001  # raised by the thread that waits, if it still does
            self._error = error
        with self._lock:
            self._done.set()
            nobody_waits = self._abandoned and self._error is None
        if nobody_waits:
            self._source.__exit__(None, None, None)

    def is_open(self, stopping: threading.Event) -> bool:
        while not self._done.wait(LOOK_S):
            if stopping.is_set() and self._leave():
                return False
        if self._error is not None:
            raise self._error
        return True

    def _leave(self) -> bool:
        with self._lock:
            self._abandoned = not self._done.is_set()
            return self._abandoned
