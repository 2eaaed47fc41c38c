"""One engine made of several, each for network inputs of one size: TensorRT's engines take one size only."""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from stream.engines.base import Engine
from stream.engines.streams import side_stream
from stream.engines.wrappers import Cancelled, CancelToken, LazyEngine
from stream.errors import EngineError
from stream.frames import Size

log = logging.getLogger(__name__)

MAX_SIZES = 8
"""Limit of sizes with an engine of their own: each engine holds device memory until the end."""

OpenForSize: TypeAlias = Callable[[Size, CancelToken], Engine]
"""Opens a size's engine, which may take minutes. Raises EngineError; and Cancelled soon after the token is set."""


class EnginesBySize:
    """Opens an engine for each size, once; several sizes may share one engine.

    ``prepare`` waits until the engine is open. A new size in ``infer`` runs on the ``fallback`` engine at once, while a
    background thread opens its own engine: a camera with another image size delays no other camera. The size stays on
    the fallback if opening fails, or if MAX_SIZES sizes have engines already.
    """

    def __init__(
        self,
        name: str,
        max_batch: int,
        open_for: OpenForSize,
        fallback: LazyEngine,
        shared: Sequence[LazyEngine] = (),
        device: torch.device | None = None,
        *,
        waits: bool = False,
    ) -> None:
        """``open_for`` opens the engine for a size; ``fallback`` takes any size, in float32.

        ``shared``: engines that ``open_for`` may return for several sizes. They and the fallback are closed with the
        others. ``waits``: ``infer`` waits as ``prepare`` does, so that one engine runs all images of a size. That suits
        files, where latency does not matter.
        """
        self.name, self._max_batch, self._open_for = name, max_batch, open_for
        self._fallback, self._shared = fallback, (*shared, fallback)
        self._device = device or torch.device("cpu")
        self._by_size: dict[Size, Engine] = {}
        self._requested: set[Size] = set()
        """Sizes that have arrived, or were prepared."""
        self._with_own_engine: set[Size] = set()
        """At most MAX_SIZES of them: an engine is open, is being opened, or failed to open."""
        # ``_opening`` may be held for minutes, so ``infer`` takes it only if it waits. Where both are held, it
        # is taken first.
        self._lock, self._opening, self._cancel = threading.Lock(), threading.Lock(), CancelToken()
        self._pending: deque[Size] = deque()
        self._thread: threading.Thread | None = None
        self._thread_running = self._warned = False
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
        if self._waits and size not in self._requested:
            self._wait_for(size)
        # read without the lock: an engine is entered only when it is ready, and ``close`` alone removes it
        engine = self._by_size.get(size) or self._fallback_for(size)
        return engine.infer(pixels=pixels)

    def prepare(self, size: Size) -> None:
        """Open the engine for ``size`` and warm it up. Raises EngineError if that fails or this engine is closed."""
        with self._lock:
            self._check_open()
            self._requested.add(size)
            gets_own = self._reserve(size)
        if not gets_own:
            self._fallback().prepare(size)
            return
        try:
            self._open(size)
        except Cancelled:
            self._check_open()  # only ``close`` cancels, so this raises EngineError

    def describe(self) -> str:
        with self._lock:
            used = dict.fromkeys(engine.describe() for engine in self._by_size.values())
        return "; ".join(used) or f"{self.name}: an engine for each network size, opened when it is first met"

    def close(self) -> None:
        """Cancel the opening of engines, wait for its end, and close all engines."""
        self._stop_thread()
        with self._opening, self._lock:
            engines = list(self._by_size.values())
            self._by_size.clear()
        for engine in engines:
            engine.close()
        for shared in self._shared:
            shared.close()

    def _stop_thread(self) -> None:
        with self._lock:
            self._cancel.set()
            self._pending.clear()
            thread = self._thread
        if thread is not None:
            thread.join()
            atexit.unregister(self._stop_thread)  # the registration would keep this object alive

    def _check_open(self) -> None:
        if self._cancel.is_set():
            raise EngineError(f"{self.name}: this engine is closed")

    def _wait_for(self, size: Size) -> None:
        try:
            self.prepare(size)
        except EngineError as error:
            self._check_open()
            self._warn_of_failure(size, error)

    def _fallback_for(self, size: Size) -> Engine:
        """The fallback engine; the first image of a size also starts the opening of that size's own engine."""
        with self._lock:
            self._check_open()
            if size not in self._requested:
                self._requested.add(size)
                if self._reserve(size):
                    self._open_in_background(size)
            # Opened under the lock, so that none is opened after ``close``.
            return self._fallback()

    def _reserve(self, size: Size) -> bool:
        """False if ``size`` has to stay on the fallback because MAX_SIZES sizes have engines of their own."""
        if size not in self._with_own_engine and len(self._with_own_engine) >= MAX_SIZES:
            if not self._warned:
                log.warning("%s: %d network sizes have engines; others, as %s, share one", self.name, MAX_SIZES, size)
                self._warned = True
            return False
        self._with_own_engine.add(size)
        return True

    def _open_in_background(self, size: Size) -> None:
        log.info("%s: network inputs of %s run in float32 until an engine of their own is ready", self.name, size)
        self._pending.append(size)
        if not self._thread_running:
            self._thread_running = True
            self._thread = threading.Thread(target=self._work, name=f"engines of {self.name}", daemon=True)
            # a program that exits without closing this engine would otherwise wait for the engine gate
            atexit.register(self._stop_thread)
            self._thread.start()

    def _work(self) -> None:
        while (size := self._next()) is not None:
            try:
                self._open(size)
            except Cancelled:
                return
            except Exception as error:  # noqa: BLE001 - any failure: images stay on the fallback
                self._warn_of_failure(size, error)

    def _warn_of_failure(self, size: Size, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        log.warning("%s: network inputs of %s stay in float32, no engine opens: %s", self.name, size, reason)

    def _next(self) -> Size | None:
        with self._lock:
            # Decided under the lock, so that no size is left to a thread that is about to end.
            self._thread_running = bool(self._pending)
            return self._pending.popleft() if self._pending else None

    def _open(self, size: Size) -> None:
        """Open and warm up one engine at a time; ``infer`` uses it only when it is ready."""
        with self._opening:
            if size in self._by_size:  # opened by another thread while this one waited
                return
            with side_stream(self._device):
                engine = self._open_and_prepare(size)
            with self._lock:
                self._by_size[size] = engine
            log.info("%s is used for network inputs of %s", engine.describe(), size)

    def _open_and_prepare(self, size: Size) -> Engine:
        self._cancel.check()
        engine = self._open_for(size, self._cancel)
        try:
            self._cancel.check()
            engine.prepare(size)
        except BaseException:
            in_use = any(shared.resource is engine for shared in self._shared) or engine in self._by_size.values()
            if not in_use:
                engine.close()
            raise
        return engine
