"""A network as CUDA graphs: every kernel of a batch is launched by one call of the host.

One graph for each (batch, size); batches in between are filled up to the next captured one. This file has never met a
GPU: what can be tested without one (which graph, how it is filled up, in which order and where it is captured) is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stream.engines.batch_sizes import batch_sizes, padded
from stream.engines.eager import EagerEngine, checked, device_name
from stream.engines.streams import captured, device_errors, own_stream
from stream.engines.torch_flags import FASTEST
from stream.frames import Size

log = logging.getLogger(__name__)

WARM_UP_RUNS = 3
"""On the stream that captures, before the capture, as torch.cuda.graph asks for."""

MAX_SIZES = 8
"""Sizes that have graphs. Those of others would have to be destroyed for more, and may be running."""


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
        self._by_size: dict[Size, Mapping[int, Captured]] = {}
        self._pool: Any = None
        self._capturing, self._turn = threading.Lock(), threading.Lock()
        self._told = False
        with device_errors(self.name):
            self._stream = own_stream(self.device)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]

    @property
    def max_batch(self) -> int:
        return self._eager.max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """As EagerEngine's, with one launch; a new size is captured first, and one too many runs as it is."""
        pixels = checked(inputs, self.name, self.device, self.max_batch)
        count, graphs = len(pixels), self._graphs_for(Size(*pixels.shape[2:]))
        if graphs is None:
            return self._eager.infer(pixels=pixels)
        chosen = graphs[padded(count, batch_sizes(self.max_batch))]
        with torch.inference_mode(), device_errors(self.name), self._alone():
            chosen.pixels[:count].copy_(pixels)
            chosen.graph.replay()
            # copies: the next run of any size, also of another thread that judges, may write where these lie
            return {name: output[:count].clone() for name, output in chosen.outputs.items()}

    def prepare(self, size: Size) -> None:
        """Capture every batch that will be run."""
        if self._graphs_for(size) is None:
            self._eager.prepare(size)

    def describe(self) -> str:
        precision = self._eager.precision
        return f"{self.name} by CUDA graphs of torch {torch.__version__} on {device_name(self.device)}, {precision}"

    def close(self) -> None:
        with self._capturing, self._turn:
            with suppress(RuntimeError):  # of a device that is lost; whoever used it has been told
                self._done.synchronize()
            self._by_size.clear()
            self._pool = None
        self._eager.close()

    def _graphs_for(self, size: Size) -> Mapping[int, Captured] | None:
        """By batch; None for a size too many."""
        graphs = self._by_size.get(size)
        if graphs is not None:
            return graphs
        with self._capturing:
            if size not in self._by_size and len(self._by_size) < MAX_SIZES:
                with device_errors(self.name):
                    self._by_size[size] = self._captured(size)
            elif not self._told and size not in self._by_size:
                self._told = True
                log.warning("%s: %d sizes have CUDA graphs; others, as %s, run without", self.name, MAX_SIZES, size)
            return self._by_size.get(size)

    def _captured(self, size: Size) -> Mapping[int, Captured]:
        """The largest first: the others fit into its memory."""
        return {batch: self._capture(batch, size) for batch in reversed(batch_sizes(self.max_batch))}

    def _capture(self, batch: int, size: Size) -> Captured:
        pixels = torch.zeros(batch, 3, *size, device=self.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        graph = torch.cuda.CUDAGraph()
        with FASTEST:
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_RUNS):
                    with self._alone():
                        self._eager.infer(pixels=pixels)
            with captured(graph, self._stream, self._pool):
                outputs = self._eager.infer(pixels=pixels)
        self._pool = self._pool or graph.pool()
        return Captured(graph, pixels, outputs)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """After all that was run here before, in whichever stream: graphs share memory, and cuBLAS' scratch too."""
        with self._turn:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(self._done)
            try:
                yield
            finally:
                self._done.record(stream)
