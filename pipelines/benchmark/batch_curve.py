"""Time and memory of one engine for batches of 1 to N, and the ``max_batch`` that they recommend.

Only the network is timed: its input is ready before and its output is not read. On a GPU the time is taken between two
CUDA events, after the host has waited for the second; a time taken without waiting is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Protocol

import numpy as np

from pipelines.benchmark.memory import peak_resident_mib
from stream.engines.batch_sizes import batch_sizes
from stream.errors import EngineError
from stream.frames import Batch, Size

WARM_UP = 3
EVERY_SIZE_UP_TO = 8
"""Up to here every batch size is measured; beyond, powers of two and the largest."""
GOOD_ENOUGH = 0.95
"""A batch size with this share of the best rate is enough; what a larger one adds is not worth the wait."""
MIN_HOST_SHARE = 0.9
"""The host must have waited for at least this share of the time that the device worked, or it did not wait at all."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Point:
    """The cost of one batch size."""

    batch: int
    p50_ms: float
    """Time of the whole batch."""
    p95_ms: float
    runs: int
    memory_mib: float
    """On the CPU the process's peak resident memory during the runs; on a GPU the memory taken since the engine was
    opened."""

    @property
    def fps(self) -> float:
        """Images per second at the median time."""
        return 1e3 * self.batch / self.p50_ms


class Bench(Protocol):
    """An engine that can be measured."""

    synchronised_by: str
    """How the end of a run is detected."""

    def time_ms(self, batch: int) -> float:
        """Run the engine once on ``batch`` images and return the time."""
        ...

    def memory_mib(self) -> float:
        """The peak memory since the previous call."""
        ...


def measure(bench: Bench, max_batch: int, seconds: float, on_progress: Callable[[int], object]) -> list[Point]:
    """Measure rising batch sizes, each for ``seconds``; ``on_progress`` is called with each size before it runs."""
    points = []
    for batch in steps(max_batch):
        on_progress(batch)
        for _ in range(WARM_UP):
            bench.time_ms(batch)
        bench.memory_mib()  # forgets the peak of the warm-up
        times, end = [bench.time_ms(batch)], monotonic() + seconds
        while monotonic() < end:
            times.append(bench.time_ms(batch))
        p50, p95 = (float(np.percentile(times, q)) for q in (50, 95))
        points.append(Point(batch, p50, p95, len(times), bench.memory_mib()))
    return points


def steps(max_batch: int) -> tuple[int, ...]:
    """The batch sizes that are measured."""
    small = range(1, min(max_batch, EVERY_SIZE_UP_TO) + 1)
    return tuple(sorted({*small, *(n for n in batch_sizes(max_batch) if n > EVERY_SIZE_UP_TO)}))


def recommended(points: Sequence[Point]) -> int:
    """The smallest batch size that reaches ``GOOD_ENOUGH`` of the best rate."""
    best = max(point.fps for point in points)
    return min(point.batch for point in points if point.fps >= GOOD_ENOUGH * best)


class CpuBench:
    """An engine on the CPU, where a call returns when the work is done."""

    synchronised_by = "the call returns when it is done"

    def __init__(self, infer: Callable[[Batch], object], size: Size) -> None:
        self._infer, self._size = infer, size
        self._batches: dict[int, Batch] = {}

    def time_ms(self, batch: int) -> float:
        if batch not in self._batches:
            pixels = np.random.default_rng(0).standard_normal((batch, *self._size, 3), np.float32)
            self._batches = {batch: Batch(pixels.transpose(0, 3, 1, 2), ())}
        start = perf_counter()
        self._infer(self._batches[batch])
        return 1e3 * (perf_counter() - start)

    def memory_mib(self) -> float:
        return peak_resident_mib()


class DeviceBench:
    """An engine that takes tensors on a device."""

    synchronised_by = "CUDA events, the last one waited for"

    def __init__(self, engine: Any, size: Size, device: str = "cuda", free_bytes: int = 0) -> None:
        """``free_bytes`` is the device's free memory before the engine was opened."""
        import torch

        from stream.engines.streams import DeviceStreams

        self._engine, self._size, self._free = engine, size, free_bytes
        self._device, self._torch = torch.device(device), torch
        self._streams = DeviceStreams(self._device)
        self._pixels: dict[int, Any] = {}

    def time_ms(self, batch: int) -> float:
        """Time of one run by the device's clock. Raises EngineError if the clock was read before the work was done."""
        if batch not in self._pixels:
            noise = self._torch.randn(batch, 3, *self._size).to(self._device)
            self._pixels = {batch: noise.contiguous(memory_format=self._torch.channels_last)}
        start = perf_counter()
        with self._streams.on("compute"):
            begun = self._streams.record("compute")
            self._engine.infer(pixels=self._pixels[batch])
            done = self._streams.record("compute")
        done.wait()
        host_ms = 1e3 * (perf_counter() - start)
        device_ms = done.ms_since(begun)
        check_synchronised(done.completed, host_ms, device_ms)
        return device_ms

    def memory_mib(self) -> float:
        """All memory taken on the device since the engine was opened: by torch, by TensorRT, and by other programs."""
        if self._device.type != "cuda":
            return peak_resident_mib()
        return (self._free - self._torch.cuda.mem_get_info(self._device)[0]) / MIB


def check_synchronised(completed: bool, host_ms: float, device_ms: float) -> None:
    """Raise EngineError for a time that was taken before the device had done the work."""
    if not completed or host_ms < MIN_HOST_SHARE * device_ms:
        raise EngineError(
            f"no result: the host waited {host_ms:.3f} ms for work that takes the device {device_ms:.3f} ms; "
            "it was not synchronised"
        )
