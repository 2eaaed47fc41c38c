"""Wrappers around engines: opened lazily, cancelled while they are judged, or called with NumPy arrays."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from stream.engines.base import Engine
from stream.errors import EngineError
from stream.frames import Floats, Size

log = logging.getLogger(__name__)


class Closeable(Protocol):
    """Something that holds memory until it is closed."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closeable)
EngineFactory: TypeAlias = Callable[[], Engine]


class Lazy(Generic[C]):
    """Lazily opened resource, shared between threads.

    Calling it opens the resource the first time and returns the same one to every thread until ``close``; the next call
    opens it anew.
    """

    def __init__(self, factory: Callable[[], C]) -> None:
        self._factory = factory
        self._resource: C | None = None
        self._lock = threading.Lock()

    def __call__(self) -> C:
        with self._lock:
            # Opened under the lock: two threads that come first together share one network, not load two.
            if self._resource is None:
                self._resource = self._factory()
            return self._resource

    @property
    def resource(self) -> C | None:
        """The resource if it is open; never waits."""
        return self._resource

    def close(self) -> None:
        with self._lock:
            if self._resource is not None:
                self._resource.close()
            self._resource = None


class LazyEngine(Lazy[Engine]):
    """Lazily opened engine, shared between threads."""


def first_that_opens(name: str, openers: Sequence[tuple[str, Callable[[], C]]]) -> C:
    """Open the first of ``openers`` (place, factory) that works; a warning for each that does not.

    Raises the last one's EngineError if none of them opens.
    """
    for (_, factory), (next_place, _) in pairwise(openers):
        try:
            return factory()
        except EngineError as error:
            # the driver may show a card that torch cannot use, or that has no memory left
            log.warning("%s runs on the %s: %s", name, next_place, error)
    return openers[-1][1]()


class Cancelled(Exception):
    """Raised when the caller cancelled; not an engine error, so it says nothing about the engine."""


class CancelToken(threading.Event):
    """Cooperative cancellation: the caller sets it, slow work calls ``check`` between its steps."""

    def check(self) -> None:
        """Raise Cancelled if the token is set."""
        if self.is_set():
            raise Cancelled


class CancellableEngine:
    """An engine that raises Cancelled instead of its next result. Closing it closes the engine."""

    def __init__(self, engine: Engine, cancel: CancelToken) -> None:
        self._engine, self._cancel = engine, cancel

    @property
    def max_batch(self) -> int:
        return self._engine.max_batch

    def infer(self, **inputs: Any) -> dict[str, Any]:
        self._cancel.check()
        return self._engine.infer(**inputs)

    def prepare(self, size: Size) -> None:
        self._cancel.check()
        self._engine.prepare(size)

    def describe(self) -> str:
        return self._engine.describe()

    def close(self) -> None:
        self._engine.close()


class NumpyEngine:
    """A device's engine that takes and returns NumPy arrays; each call waits for its result.

    Closing it closes the engine.
    """

    def __init__(self, engine: Engine, device: Any) -> None:
        """``device``: the torch.device whose tensors ``engine`` takes."""
        self.engine, self._device = engine, device

    @property
    def max_batch(self) -> int:
        return self.engine.max_batch

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        import torch

        from stream.engines.streams import device_errors

        with device_errors(self.describe()), torch.inference_mode():
            # Copied, because golden inputs are read-only, and torch warns about tensors on such memory.
            tensors = {name: torch.from_numpy(np.array(value)).to(self._device) for name, value in inputs.items()}
            return {name: output.cpu().numpy() for name, output in self.engine.infer(**tensors).items()}

    def prepare(self, size: Size) -> None:
        self.engine.prepare(size)

    def describe(self) -> str:
        return self.engine.describe()

    def close(self) -> None:
        self.engine.close()
