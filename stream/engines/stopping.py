"""Long work that nobody may want any more before it is done: opening and judging engines."""

from __future__ import annotations

import threading
from typing import Any

from stream.engines.base import Engine
from stream.frames import Size


class Stopped(Exception):
    """Nobody waits for the answer any more. No error of an engine: it says nothing about it."""


class Stopping(threading.Event):
    """Set by who does not want it any more; who works asks between its steps."""

    def check(self) -> None:
        """Raises Stopped if it is set."""
        if self.is_set():
            raise Stopped


class Stoppable:
    """An engine that raises Stopped instead of its next answer. Closing it closes the engine."""

    def __init__(self, engine: Engine, stopping: Stopping) -> None:
        self._engine, self._stopping = engine, stopping

    @property
    def max_batch(self) -> int:
        return self._engine.max_batch

    def infer(self, **inputs: Any) -> dict[str, Any]:
        self._stopping.check()
        return self._engine.infer(**inputs)

    def prepare(self, size: Size) -> None:
        self._stopping.check()
        self._engine.prepare(size)

    def describe(self) -> str:
        return self._engine.describe()

    def close(self) -> None:
        self._engine.close()
