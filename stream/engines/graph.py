"""A network as CUDA graphs: every kernel of a batch is launched by one call of the host.

One graph for each (batch, size); batches in between are filled up to the next captured one. This file has never met a
GPU: what can be tested without one (which graph, how it is filled up) is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from stream.engines.batch_sizes import batch_sizes, padded
from stream.engines.eager import EagerEngine, checked, device_name
from stream.engines.streams import device_errors
from stream.frames import Size

WARM_UP_RUNS = 3
"""On the stream that captures, before the capture, as torch.cuda.graph asks for."""


class Captured(NamedTuple):
    """A graph with the memory that it reads and writes."""

    graph: Any
    pixels: Tensor
    outputs: dict[str, Tensor]


class CudaGraphEngine:
    """An EagerEngine's network, captured. The result is valid until the next call."""

    def __init__(self, eager: EagerEngine) -> None:
        self.name, self.device = eager.name, eager.device
        self._eager = eager
        self._captured: dict[tuple[int, Size], Captured] = {}
        self._pool: Any = None

    @property
    def max_batch(self) -> int:
        return self._eager.max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """As EagerEngine's, with one launch; a new size is captured first."""
        pixels = checked(inputs, self.name, self.device, self.max_batch)
        count, size = len(pixels), Size(*pixels.shape[2:])
        captured = self._for(padded(count, batch_sizes(self.max_batch)), size)
        with torch.inference_mode(), device_errors(self.name):
            captured.pixels[:count].copy_(pixels)
            captured.graph.replay()
            return {name: output[:count] for name, output in captured.outputs.items()}

    def prepare(self, size: Size) -> None:
        """Capture every batch that will be run."""
        self._eager.prepare(size)
        for batch in batch_sizes(self.max_batch):
            self._for(batch, size)

    def describe(self) -> str:
        precision = self._eager.precision
        return f"{self.name} by CUDA graphs of torch {torch.__version__} on {device_name(self.device)}, {precision}"

    def close(self) -> None:
        self._captured.clear()
        self._pool = None
        self._eager.close()

    def _for(self, batch: int, size: Size) -> Captured:
        key = (batch, size)
        if key not in self._captured:
            with device_errors(self.name):
                self._captured[key] = self._capture(batch, size)
        return self._captured[key]

    def _capture(self, batch: int, size: Size) -> Captured:
        pixels = torch.zeros(batch, 3, *size, device=self.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                self._eager.infer(pixels=pixels)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # thread_local: the default forbids other threads, which decode and copy, to allocate while we capture
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            outputs = self._eager.infer(pixels=pixels)
        self._pool = self._pool or graph.pool()
        return Captured(graph, pixels, outputs)
