"""Runs a TensorRT engine on a GPU.

This file and tensorrt_run.py have never met a GPU: only the order of their calls was tested, with stand-ins.
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

from stream.core.atomic_write import write_whole
from stream.engines.batch_sizes import batch_sizes, padded
from stream.engines.onnx_export import INPUT
from stream.engines.streams import own_stream
from stream.engines.tensorrt.api import TensorRT
from stream.engines.tensorrt.build import Profile
from stream.engines.tensorrt.execution import Run, deserialized, output_shapes, runtime_options
from stream.errors import EngineError, OutOfDeviceMemory, first_line
from stream.frames import Size

log = logging.getLogger(__name__)


def checked(inputs: dict[str, Tensor], profile: Profile, device: torch.device, name: str) -> Tensor:
    """The images in ``inputs``. Raises EngineError unless they are what the engine was built for."""
    pixels = inputs.get(INPUT)
    if pixels is None or len(inputs) != 1:
        raise EngineError(f'{name} takes one input, "{INPUT}"; got: {", ".join(inputs) or "none"}')
    if pixels.dtype != torch.float32 or pixels.device.type != device.type:
        raise EngineError(f"{name} takes float32 on {device}; got {pixels.dtype} on {pixels.device}")
    if tuple(pixels.shape[1:]) != (3, *profile.size) or not 1 <= len(pixels) <= profile.max_batch:
        built_for = f"(1 to {profile.max_batch}, 3, {profile.size.height}, {profile.size.width})"
        raise EngineError(f"{name} was built for {built_for}; got {tuple(pixels.shape)}")
    return pixels


class TensorRTEngine:
    """One engine: one size, 1 to ``max_batch`` images, tensors of the GPU in and out."""

    def __init__(
        self,
        trt: TensorRT,
        plan: bytes,
        profile: Profile,
        name: str,
        *,
        device: str = "cuda",
        slots: int = 3,
        graphs: bool = True,
        runtime_cache: Path | None = None,
    ) -> None:
        """``slots``: results that exist at a time. ``runtime_cache``: a file for what TensorRT-RTX compiles on loading.

        Raises EngineError if TensorRT does not take the plan here.
        """
        self.name, self.profile = name, profile
        self._trt, self._device, self._graphs = trt, torch.device(device), graphs
        self._lock, self._turn, self._cache_file = threading.Lock(), 0, runtime_cache
        self._runs: dict[int, Run] = {}
        with self._on_device():
            self._engine: Any = deserialized(trt, plan, profile)
            self._options, self._cache = runtime_options(trt, self._engine, runtime_cache)
            self._stream = own_stream(self._device)
            self._pixels = torch.zeros(profile.max_batch, 3, *profile.size, device=self._device)
            shapes = output_shapes(trt, self._engine)
            self._outputs = self._buffers(shapes)
            self._slots = [self._buffers(shapes) for _ in range(slots)]
            self._stream.wait_stream(torch.cuda.current_stream())

    @property
    def max_batch(self) -> int:
        return self.profile.max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """``pixels`` (N, 3, h, w) float32 -> ``depth`` (N, h, w) float32 and whatever else the engine gives, by name.

        All of it is on the GPU; nothing waits on the host.
        The caller's current stream finds the input read and the result written in its turn. The result is overwritten
        after ``slots`` - 1 more calls. Raises EngineError, or OutOfDeviceMemory.
        """
        pixels = checked(inputs, self.profile, self._device, self.name)
        n = len(pixels)
        with self._lock, self._on_device():
            caller = torch.cuda.current_stream()  # before a capture, which changes it
            run = self._run_for(padded(n, batch_sizes(self.max_batch)))
            self._turn = (self._turn + 1) % len(self._slots)
            slot = self._slots[self._turn]
            result = {name: kept[:n] for name, kept in slot.items()}
            self._stream.wait_stream(caller)
            with torch.cuda.stream(self._stream):
                self._pixels[:n].copy_(pixels, non_blocking=True)
                run()
                for name, kept in result.items():
                    kept.copy_(self._outputs[name][:n], non_blocking=True)
            caller.wait_stream(self._stream)
        return result

    def prepare(self, size: Size) -> None:
        """Capture every batch size now, so that no image waits for it. Raises EngineError for another size."""
        if size != self.profile.size:
            raise EngineError(f"{self.name} was built for {self.profile.size}, not for {size}")
        with self._lock, self._on_device():
            for batch in batch_sizes(self.max_batch):
                self._run_for(batch)
            if self._cache is not None and self._cache_file is not None:
                _keep(bytes(self._cache.serialize()), self._cache_file)

    def describe(self) -> str:
        how = "CUDA graphs" if self._graphs else "no CUDA graphs"
        return f"{self.name} by {self._trt} on {self._device}, up to {self.max_batch} of {self.profile.size}, {how}"

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                with suppress(RuntimeError):  # of a device that is lost; whoever used it has been told
                    self._stream.synchronize()
            self._runs.clear()
            self._slots.clear()
            self._outputs.clear()
            self._pixels = torch.empty(0)
            self._options, self._cache, self._engine = (), None, None

    def _run_for(self, batch: int) -> Run:
        if self._engine is None:
            raise EngineError(f"{self.name}: this engine is closed")
        if batch not in self._runs:
            context = self._engine.create_execution_context(*self._options)
            if context is None:
                raise OutOfDeviceMemory(f"{self.name} has no room for batches of {batch}: {self._trt.errors.take()}")
            shape = (batch, *self._pixels.shape[1:])
            addresses = {name: output.data_ptr() for name, output in self._outputs.items()}
            run = Run(self._trt, context, self._stream, shape, {INPUT: self._pixels.data_ptr(), **addresses})
            if self._graphs:
                run.capture(self.name)
            self._runs[batch] = run
        return self._runs[batch]

    def _buffers(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Memory for every output of the largest batch."""
        most = self.profile.max_batch
        return {name: torch.zeros(most, *shape, device=self._device) for name, shape in shapes.items()}

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        try:
            with torch.cuda.device(self._device), torch.inference_mode():
                yield
        except torch.OutOfMemoryError as error:
            raise OutOfDeviceMemory(f"{self.name}: the device is out of memory: {first_line(error)}") from error
        except (RuntimeError, ValueError) as error:  # ValueError: torch's, of a device that is no CUDA GPU
            raise EngineError(f"{self.name} failed on {self._device}: {first_line(error)}") from error


def _keep(kernels: bytes, path: Path) -> None:
    """A folder that cannot be written costs a line in the log, and compiling them at every start."""
    try:
        write_whole(path, kernels)
    except OSError as error:
        log.warning("%s: compiled kernels cannot be kept, the next start compiles them again: %s", path, error)
