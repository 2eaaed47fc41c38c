"""An engine that several may need, and perhaps nobody does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from stream.engines.base import Engine

EngineFactory: TypeAlias = Callable[[], Engine]


class Opened:
    """Calling it opens the engine when it is first asked for, and gives the same one from then on, to any thread."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory = factory
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._factory()
            return self._engine

    def gave(self, engine: Engine) -> bool:
        """Whether ``engine`` is its own."""
        return self._engine is engine

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.close()
            self._engine = None
