"""One engine made of several, each for network inputs of one size: TensorRT's take no other than their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from stream.engines.base import Engine
from stream.engines.opened import Opened
from stream.errors import EngineError
from stream.frames import Size


class SizedEngines:
    """Asks for an engine when a size is first met; several sizes may share one.

    A camera of another shape thus costs a wait at its first picture and no other camera an error.
    """

    def __init__(
        self, name: str, max_batch: int, open_for: Callable[[Size], Engine], shared: Sequence[Opened] = ()
    ) -> None:
        """``shared``: what ``open_for`` may have opened for several sizes, or for none; closed with the others."""
        self.name, self._max_batch, self._open_for, self._shared = name, max_batch, open_for, shared
        self._by_size: dict[Size, Engine] = {}
        self._lock, self._closed = threading.Lock(), False

    @property
    def max_batch(self) -> int:
        return self._max_batch

    def infer(self, **inputs: Any) -> dict[str, Any]:
        pixels = inputs.get("pixels")
        if pixels is None or len(inputs) != 1 or pixels.ndim != 4:
            raise EngineError(f'{self.name} takes one input, "pixels" (N, 3, h, w); got: {", ".join(inputs) or "none"}')
        if not 1 <= len(pixels) <= self._max_batch:
            raise EngineError(f"{self.name} takes 1 to {self._max_batch} pictures at once; got {len(pixels)}")
        return self.engine_for(Size(*pixels.shape[2:])).infer(pixels=pixels)

    def prepare(self, size: Size) -> None:
        self.engine_for(size).prepare(size)

    def engine_for(self, size: Size) -> Engine:
        """Raises EngineError where there is none at all, and when all are closed."""
        with self._lock:
            if self._closed:
                raise EngineError(f"{self.name}: this engine is closed")
            if size not in self._by_size:
                self._by_size[size] = self._open_for(size)
            return self._by_size[size]

    def describe(self) -> str:
        used = dict.fromkeys(engine.describe() for engine in self._by_size.values())
        return "; ".join(used) or f"{self.name}: an engine for each size, chosen at its first picture"

    def close(self) -> None:
        with self._lock:
            self._closed = True
            engines = list(self._by_size.values())
            self._by_size.clear()
        for engine in engines:
            engine.close()
        for shared in self._shared:
            shared.close()
