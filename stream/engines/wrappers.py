"""An engine that several may need, and perhaps nobody does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch

from stream.engines.base import Engine
from stream.engines.streams import device_errors
from stream.frames import Floats, Size

EngineFactory: TypeAlias = Callable[[], Engine]


class LazyEngine:
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


class Cancelled(Exception):
    """Nobody waits for the answer any more. No error of an engine: it says nothing about it."""


class CancelToken(threading.Event):
    """Set by who does not want it any more; who works asks between its steps."""

    def check(self) -> None:
        """Raises Cancelled if it is set."""
        if self.is_set():
            raise Cancelled


class CancellableEngine:
    """An engine that raises Cancelled instead of its next answer. Closing it closes the engine."""

    def __init__(self, engine: Engine, stopping: CancelToken) -> None:
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


class NumpyEngine:
    """Arrays in and out; every call waits until the answer is there. Closing it closes the engine."""

    def __init__(self, engine: Engine, device: torch.device) -> None:
        self.engine, self._device = engine, device

    @property
    def max_batch(self) -> int:
        return self.engine.max_batch

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        with device_errors(self.describe()), torch.inference_mode():
            tensors = {name: torch.from_numpy(np.array(value)).to(self._device) for name, value in inputs.items()}
            return {name: output.cpu().numpy() for name, output in self.engine.infer(**tensors).items()}

    def prepare(self, size: Size) -> None:
        self.engine.prepare(size)

    def describe(self) -> str:
        return self.engine.describe()

    def close(self) -> None:
        self.engine.close()
