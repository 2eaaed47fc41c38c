"""An engine that several may need, and perhaps nobody does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from stream.engines.base import Engine

EngineFactory: TypeAlias = Callable[[], Engine]


class Opened:
    """Calling it opens the engine when it is first asked for, and gives the same one from then on."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory = factory
        self._engine: Engine | None = None

    def __call__(self) -> Engine:
        if self._engine is None:
            self._engine = self._factory()
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._engine = None
