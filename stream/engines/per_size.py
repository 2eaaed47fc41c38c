"""One engine made of several, each for network inputs of one size: TensorRT's take no other than their own."""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from stream.engines.base import Engine
from stream.engines.streams import aside
from stream.engines.wrappers import Cancelled, CancelToken, LazyEngine
from stream.errors import EngineError
from stream.frames import Size

log = logging.getLogger(__name__)

MAX_SIZES = 8
"""Sizes that have engines of their own: each holds memory of the device until the end."""

OpenFor: TypeAlias = Callable[[Size, CancelToken], Engine]
"""Opens the engine for a size, which may take minutes. Raises EngineError, and Cancelled soon after it is told to."""


class EnginesBySize:
    """Asks for an engine for each size, once; several sizes may share one.

    ``prepare`` waits for it. A size that is first met in ``infer`` runs by ``meanwhile`` at once, and its own engine is
    opened by a thread beside it: a camera of another shape costs no other camera a wait. It stays with ``meanwhile``
    where that fails, and where MAX_SIZES have engines already.
    """

    def __init__(
        self,
        name: str,
        max_batch: int,
        open_for: OpenFor,
        meanwhile: LazyEngine,
        shared: Sequence[LazyEngine] = (),
        device: torch.device | None = None,
        *,
        waits: bool = False,
    ) -> None:
        """``meanwhile`` takes any size, in float32; ``shared`` is what ``open_for`` opens for several sizes, or none.

        All are closed with the others. ``waits``: ``infer`` waits as ``prepare`` does, so that one engine does all
        images of a size: for files, where nobody waits for the newest.
        """
        self.name, self._max_batch, self._open_for = name, max_batch, open_for
        self._meanwhile, self._shared = meanwhile, (*shared, meanwhile)
        self._device = device or torch.device("cpu")
        self._by_size: dict[Size, Engine] = {}
        self._met: set[Size] = set()
        self._own: set[Size] = set()
        self._lock, self._opening, self._stopping = threading.Lock(), threading.Lock(), CancelToken()
        self._waiting: deque[Size] = deque()
        self._thread: threading.Thread | None = None
        self._working = self._told = False
        self._waits = waits

    @property
    def max_batch(self) -> int:
        return self._max_batch

    def infer(self, **inputs: Any) -> dict[str, Any]:
        pixels = inputs.get("pixels")
        if pixels is None or len(inputs) != 1 or pixels.ndim != 4:
            raise EngineError(f'{self.name} takes one input, "pixels" (N, 3, h, w); got: {", ".join(inputs) or "none"}')
        if not 1 <= len(pixels) <= self._max_batch:
            raise EngineError(f"{self.name} takes 1 to {self._max_batch} images at once; got {len(pixels)}")
        size = Size(*pixels.shape[2:])
        if self._waits and size not in self._met:
            self._wait_for(size)
        engine = self._by_size.get(size) or self._until_then(size)
        return engine.infer(pixels=pixels)

    def prepare(self, size: Size) -> None:
        """Raises EngineError where there is none at all, and when all are closed."""
        with self._lock:
            self._check_open()
            self._met.add(size)
            own = self._may_have_its_own(size)
        if not own:
            self._meanwhile().prepare(size)
            return
        try:
            self._open(size)
        except Cancelled:
            self._check_open()

    def describe(self) -> str:
        with self._lock:
            used = dict.fromkeys(engine.describe() for engine in self._by_size.values())
        return "; ".join(used) or f"{self.name}: an engine for each network size, opened when it is first met"

    def close(self) -> None:
        """Ends what is being opened, too, and waits for that."""
        self._end()
        with self._opening, self._lock:
            engines = list(self._by_size.values())
            self._by_size.clear()
        for engine in engines:
            engine.close()
        for shared in self._shared:
            shared.close()

    def _end(self) -> None:
        with self._lock:
            self._stopping.set()
            self._waiting.clear()
            thread = self._thread
        if thread is not None:
            thread.join()
            atexit.unregister(self._end)

    def _check_open(self) -> None:
        if self._stopping.is_set():
            raise EngineError(f"{self.name}: this engine is closed")

    def _wait_for(self, size: Size) -> None:
        try:
            self.prepare(size)
        except EngineError as error:
            self._check_open()
            self._tell_that_none_opens(size, error)

    def _until_then(self, size: Size) -> Engine:
        """What runs images of a size that has no engine of its own; it is asked for when the first one comes."""
        with self._lock:
            self._check_open()
            if size not in self._met:
                self._met.add(size)
                if self._may_have_its_own(size):
                    self._ask_for(size)
            return self._meanwhile()

    def _may_have_its_own(self, size: Size) -> bool:
        if size not in self._own and len(self._own) >= MAX_SIZES:
            if not self._told:
                log.warning("%s: %d network sizes have engines; others, as %s, share one", self.name, MAX_SIZES, size)
                self._told = True
            return False
        self._own.add(size)
        return True

    def _ask_for(self, size: Size) -> None:
        log.info("%s: network inputs of %s run in float32 until an engine of their own is ready", self.name, size)
        self._waiting.append(size)
        if not self._working:
            self._working = True
            self._thread = threading.Thread(target=self._work, name=f"engines of {self.name}", daemon=True)
            atexit.register(self._end)  # of a program that closes nothing: it would wait for the judge
            self._thread.start()

    def _work(self) -> None:
        while (size := self._next()) is not None:
            try:
                self._open(size)
            except Cancelled:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is: images go on without this engine
                self._tell_that_none_opens(size, error)

    def _tell_that_none_opens(self, size: Size, error: Exception) -> None:
        what = str(error) or type(error).__name__
        log.warning("%s: network inputs of %s stay in float32, no engine opens: %s", self.name, size, what)

    def _next(self) -> Size | None:
        with self._lock:
            self._working = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None

    def _open(self, size: Size) -> None:
        """One at a time. Used from the moment when it is ready and no sooner."""
        with self._opening:
            if size in self._by_size:
                return
            with aside(self._device):
                engine = self._prepared(size)
            with self._lock:
                self._by_size[size] = engine
            log.info("%s is used for network inputs of %s", engine.describe(), size)

    def _prepared(self, size: Size) -> Engine:
        self._stopping.check()
        engine = self._open_for(size, self._stopping)
        try:
            self._stopping.check()
            engine.prepare(size)
        except BaseException:
            used = any(shared.gave(engine) for shared in self._shared) or engine in self._by_size.values()
            if not used:
                engine.close()
            raise
        return engine
