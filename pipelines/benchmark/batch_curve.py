"""What a batch costs an engine here: time and memory for batches of 1 to N, and which ``max_batch`` that speaks for.

Only the network is timed: one input that is there already, one output that nobody reads. On a GPU a time is taken
between two marks in the device's own queue and after waiting for the second; one that was not waited for is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, Protocol

import numpy as np

from stream.engines.batch_sizes import batch_sizes
from stream.errors import EngineError
from stream.frames import Batch, Size

WARM_UP = 3
MOST_SINGLE_STEPS = 8
"""Up to here every batch is measured; beyond, powers of two and the largest."""
GOOD_ENOUGH = 0.95
"""Of the most images a second: what a larger batch would add is not worth its wait."""
CLOCKS_AGREE = 0.9
"""The host cannot have waited for less time than this share of what the device says it worked."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Point:
    """One batch size."""

    batch: int
    p50_ms: float
    """Of the whole batch."""
    p95_ms: float
    runs: int
    memory_mib: float
    """On the CPU the process's largest resident size meanwhile; on a GPU what is in use there since the start."""

    @property
    def fps(self) -> float:
        """Images a second."""
        return 1e3 * self.batch / self.p50_ms


class Bench(Protocol):
    """An engine to be measured."""

    waits: str
    """How it is known that a run is over."""

    def time_ms(self, batch: int) -> float:
        """One run of so many images."""
        ...

    def memory_mib(self) -> float:
        """The most since the last question."""
        ...


def measure(bench: Bench, most: int, seconds: float, on_progress: Callable[[int], object]) -> list[Point]:
    """Rising batches, each for ``seconds``; ``on_progress`` is told which is next."""
    points = []
    for batch in steps(most):
        on_progress(batch)
        for _ in range(WARM_UP):
            bench.time_ms(batch)
        bench.memory_mib()
        times, end = [bench.time_ms(batch)], monotonic() + seconds
        while monotonic() < end:
            times.append(bench.time_ms(batch))
        p50, p95 = (float(np.percentile(times, q)) for q in (50, 95))
        points.append(Point(batch, p50, p95, len(times), bench.memory_mib()))
    return points


def steps(most: int) -> tuple[int, ...]:
    """The batches that are measured."""
    singles = range(1, min(most, MOST_SINGLE_STEPS) + 1)
    return tuple(sorted({*singles, *(n for n in batch_sizes(most) if n > MOST_SINGLE_STEPS)}))


def recommended(points: Sequence[Point]) -> int:
    """The smallest batch that gives nearly as many images a second as the best."""
    best = max(point.fps for point in points)
    return min(point.batch for point in points if point.fps >= GOOD_ENOUGH * best)


class CpuBench:
    """TorchScript, or whatever the estimator runs on the CPU: a call returns when it is done."""

    waits = "the call returns when it is done"

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
    """An engine that takes tensors of a device."""

    waits = "marks in the device's queue, the last one waited for"

    def __init__(self, engine: Any, size: Size, device: str = "cuda", free_bytes: int = 0) -> None:
        """``free_bytes``: of the device before the engine was opened."""
        import torch

        from stream.engines.streams import DeviceStreams

        self._engine, self._size, self._free = engine, size, free_bytes
        self._device, self._torch = torch.device(device), torch
        self._streams = DeviceStreams(self._device)
        self._pixels: dict[int, Any] = {}

    def time_ms(self, batch: int) -> float:
        """By the device's clock. Raises EngineError where that was read before the work was done."""
        if batch not in self._pixels:
            noise = self._torch.randn(batch, 3, *self._size).to(self._device)
            self._pixels = {batch: noise.contiguous(memory_format=self._torch.channels_last)}
        start = perf_counter()
        with self._streams.on("work"):
            begun = self._streams.mark("work")
            self._engine.infer(pixels=self._pixels[batch])
            done = self._streams.mark("work")
        done.wait()
        host_ms = 1e3 * (perf_counter() - start)
        device_ms = done.ms_since(begun)
        check_waited(done.reached, host_ms, device_ms)
        return device_ms

    def memory_mib(self) -> float:
        """Everything on the device counts, torch's and TensorRT's; other programs' too."""
        if self._device.type != "cuda":
            return peak_resident_mib()
        return (self._free - self._torch.cuda.mem_get_info(self._device)[0]) / MIB


def check_waited(reached: bool, host_ms: float, device_ms: float) -> None:
    """Raises EngineError for a time that was taken before the device had done the work."""
    if not reached or host_ms < CLOCKS_AGREE * device_ms:
        raise EngineError(
            f"no figure: the host waited {host_ms:.3f} ms for work that takes the device {device_ms:.3f} ms; "
            "it was not synchronised"
        )


def peak_resident_mib(process: Path = Path("/proc/self")) -> float:
    """The most memory in RAM since the last call (Linux, proc(5): clear_refs, VmHWM); NaN where it is not told."""
    try:
        lines = (process / "status").read_text(encoding="ascii").splitlines()
        peak_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        (process / "clear_refs").write_text("5")
    except (OSError, StopIteration):
        return float("nan")
    return peak_kib / 1024
