"""Runs a TensorRT engine on a GPU.

This file and execution.py have not yet run on a GPU: tests with stand-ins check only the order of their calls.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stream.core.atomic_write import atomic_write
from stream.engines.batch_sizes import batch_sizes, padded_batch
from stream.engines.onnx_export import INPUT
from stream.engines.streams import dedicated_stream
from stream.engines.tensorrt.api import TensorRT
from stream.engines.tensorrt.build import Profile
from stream.engines.tensorrt.execution import BoundContext, deserialize, output_shapes, runtime_options
from stream.errors import EngineError, OutOfDeviceMemory, first_line
from stream.frames import Size

log = logging.getLogger(__name__)


class TensorRTEngine:
    """One engine for one size and 1 to ``max_batch`` images; it takes and returns tensors of the GPU."""

    def __init__(
        self,
        trt: TensorRT,
        plan: bytes,
        profile: Profile,
        name: str,
        *,
        device: str = "cuda",
        result_buffers: int = 3,
        graphs: bool = True,
        runtime_cache: Path | None = None,
    ) -> None:
        """``result_buffers``: number of results that are valid at the same time.

        ``graphs``: capture a CUDA graph for each batch size. ``runtime_cache``: a file for the kernels that
        TensorRT-RTX compiles on loading. Raises EngineError if TensorRT does not accept the plan on this machine.
        """
        self.name, self.profile = name, profile
        self._trt, self._device, self._graphs = trt, torch.device(device), graphs
        self._lock, self._current, self._cache_file = threading.Lock(), 0, runtime_cache
        self._contexts: dict[int, BoundContext] = {}
        with self._on_device():
            self._engine: Any = deserialize(trt, plan, profile)
            self._options, self._cache = runtime_options(trt, self._engine, runtime_cache)
            self._stream = dedicated_stream(self._device)
            self._pixels = torch.zeros(profile.max_batch, 3, *profile.size, device=self._device)
            shapes = output_shapes(trt, self._engine)
            self._outputs = self._allocate(shapes)
            self._results = [self._allocate(shapes) for _ in range(result_buffers)]
            self._stream.wait_stream(torch.cuda.current_stream())  # which zeroes the buffers

    @property
    def max_batch(self) -> int:
        return self.profile.max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """``pixels`` (N, 3, h, w) float32 -> ``depth`` (N, h, w) float32 and the engine's other outputs, by name.

        All tensors are on the GPU, and the host does not wait. Work that the caller's current stream receives later
        runs after the input was read and the result written. The result is overwritten after ``result_buffers`` - 1
        more calls. Raises EngineError, or OutOfDeviceMemory.
        """
        pixels = check_pixels(inputs, self.profile, self._device, self.name)
        n = len(pixels)
        with self._lock, self._on_device():
            caller = torch.cuda.current_stream()  # read first, because a capture changes it
            run = self._context_for(padded_batch(n, batch_sizes(self.max_batch)))
            self._current = (self._current + 1) % len(self._results)
            result = {name: buffer[:n] for name, buffer in self._results[self._current].items()}
            self._stream.wait_stream(caller)
            # contexts and graphs know fixed addresses only, so that input and outputs are copied
            with torch.cuda.stream(self._stream):
                self._pixels[:n].copy_(pixels, non_blocking=True)
                run()
                for name, buffer in result.items():
                    buffer.copy_(self._outputs[name][:n], non_blocking=True)
            caller.wait_stream(self._stream)
        return result

    def prepare(self, size: Size) -> None:
        """Create and capture every batch size now, so that no image waits. Raises EngineError for another size."""
        if size != self.profile.size:
            raise EngineError(f"{self.name} was built for {self.profile.size}, not for {size}")
        with self._lock, self._on_device():
            for batch in batch_sizes(self.max_batch):
                self._context_for(batch)
            if self._cache is not None and self._cache_file is not None:
                _write_runtime_cache(bytes(self._cache.serialize()), self._cache_file)

    def describe(self) -> str:
        graphs = "CUDA graphs" if self._graphs else "no CUDA graphs"
        return f"{self.name} by {self._trt} on {self._device}, up to {self.max_batch} of {self.profile.size}, {graphs}"

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                # if the device is lost, the error has already reached the thread that used it
                with suppress(RuntimeError):
                    self._stream.synchronize()
            self._contexts.clear()
            self._results.clear()
            self._outputs.clear()
            self._pixels = torch.empty(0)
            self._options, self._cache, self._engine = (), None, None

    def _context_for(self, batch: int) -> BoundContext:
        if self._engine is None:
            raise EngineError(f"{self.name}: this engine is closed")
        if batch not in self._contexts:
            context = self._engine.create_execution_context(*self._options)
            if context is None:
                raise OutOfDeviceMemory(f"{self.name} has no room for batches of {batch}: {self._trt.errors.take()}")
            shape = (batch, *self._pixels.shape[1:])
            addresses = {name: output.data_ptr() for name, output in self._outputs.items()}
            run = BoundContext(self._trt, context, self._stream, shape, {INPUT: self._pixels.data_ptr(), **addresses})
            if self._graphs:
                run.capture(self.name)
            self._contexts[batch] = run
        return self._contexts[batch]

    def _allocate(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Buffers for every output of the largest batch."""
        batch = self.profile.max_batch
        return {name: torch.zeros(batch, *shape, device=self._device) for name, shape in shapes.items()}

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        try:
            with torch.cuda.device(self._device), torch.inference_mode():
                yield
        except torch.OutOfMemoryError as error:  # first, because it is a RuntimeError, too
            raise OutOfDeviceMemory(f"{self.name}: the device is out of memory: {first_line(error)}") from error
        except (RuntimeError, ValueError) as error:  # torch raises ValueError for a device that is no CUDA GPU
            raise EngineError(f"{self.name} failed on {self._device}: {first_line(error)}") from error


def check_pixels(inputs: dict[str, Tensor], profile: Profile, device: torch.device, name: str) -> Tensor:
    """The images in ``inputs``. Raises EngineError unless they fit the engine's ``profile``."""
    pixels = inputs.get(INPUT)
    if pixels is None or len(inputs) != 1:
        raise EngineError(f'{name} takes one input, "{INPUT}"; got: {", ".join(inputs) or "none"}')
    # Only the device's type, because torch holds "cuda" and "cuda:0" to be different.
    if pixels.dtype != torch.float32 or pixels.device.type != device.type:
        raise EngineError(f"{name} takes float32 on {device}; got {pixels.dtype} on {pixels.device}")
    if tuple(pixels.shape[1:]) != (3, *profile.size) or not 1 <= len(pixels) <= profile.max_batch:
        built_for = f"(1 to {profile.max_batch}, 3, {profile.size.height}, {profile.size.width})"
        raise EngineError(f"{name} was built for {built_for}; got {tuple(pixels.shape)}")
    return pixels


def _write_runtime_cache(kernels: bytes, path: Path) -> None:
    """Write the compiled kernels. If that fails, a warning is logged and the next start compiles them again."""
    try:
        atomic_write(path, kernels)
    except OSError as error:
        log.warning("%s: compiled kernels cannot be kept, the next start compiles them again: %s", path, error)
