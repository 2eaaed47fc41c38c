"""A network as CUDA graphs: one call of the host launches every kernel of a batch.

There is one graph per (batch, size); other batch sizes are padded to the next captured one. This file has not yet run
on a GPU. With a stand-in for CUDA, tests check which graph runs, its padding, and the order and stream of the captures.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stream.engines.batch_sizes import batch_sizes, padded_batch
from stream.engines.eager import EagerEngine, check_pixels, device_name
from stream.engines.streams import capture_graph, dedicated_stream, device_errors
from stream.engines.torch_flags import CUDNN_AUTOTUNE
from stream.frames import Size

log = logging.getLogger(__name__)

WARM_UP_RUNS = 3
"""Runs on the capturing stream before the capture, as torch.cuda.graph requires."""

MAX_SIZES = 8
"""Network sizes that get graphs. For more, older graphs would have to be destroyed, and these may be running."""


class CudaGraphEngine:
    """An EagerEngine's network, captured. A result is valid until the next call."""

    def __init__(self, eager: EagerEngine) -> None:
        self.name, self.device = eager.name, eager.device
        self._eager = eager
        self._by_size: dict[Size, Mapping[int, CapturedGraph]] = {}
        self._pool: Any = None
        self._capture_lock, self._run_lock = threading.Lock(), threading.Lock()
        self._warned = False
        with device_errors(self.name):
            self._stream = dedicated_stream(self.device)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]

    @property
    def max_batch(self) -> int:
        return self._eager.max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Same as EagerEngine's, with one launch. A new size is captured first; beyond MAX_SIZES it runs uncaptured."""
        pixels = check_pixels(inputs, self.name, self.device, self.max_batch)
        count, graphs = len(pixels), self._graphs_for(Size(*pixels.shape[2:]))
        if graphs is None:
            return self._eager.infer(pixels=pixels)
        chosen = graphs[padded_batch(count, batch_sizes(self.max_batch))]
        with torch.inference_mode(), device_errors(self.name), self._exclusive():
            # Rows beyond ``count`` keep older images, and their outputs are cut off.
            chosen.pixels[:count].copy_(pixels)
            chosen.graph.replay()
            # copied, because the next run of any size, also by a thread that judges engines, may overwrite the outputs
            return {name: output[:count].clone() for name, output in chosen.outputs.items()}

    def prepare(self, size: Size) -> None:
        """Capture every batch size for this network size."""
        if self._graphs_for(size) is None:
            self._eager.prepare(size)

    def describe(self) -> str:
        precision = self._eager.precision
        return f"{self.name} by CUDA graphs of torch {torch.__version__} on {device_name(self.device)}, {precision}"

    def close(self) -> None:
        with self._capture_lock, self._run_lock:
            with suppress(RuntimeError):  # the device is lost, and the error has reached the thread that used it
                self._done.synchronize()
            self._by_size.clear()
            self._pool = None
        self._eager.close()

    def _graphs_for(self, size: Size) -> Mapping[int, CapturedGraph] | None:
        """Graphs by batch size; None for a size beyond MAX_SIZES."""
        # Read without the lock: a size is entered only with all its graphs, and ``close`` alone removes it.
        graphs = self._by_size.get(size)
        if graphs is not None:
            return graphs
        with self._capture_lock:
            if size not in self._by_size and len(self._by_size) < MAX_SIZES:
                with device_errors(self.name):
                    self._by_size[size] = self._capture_all(size)
            elif not self._warned and size not in self._by_size:
                self._warned = True
                log.warning("%s: %d sizes have CUDA graphs; others, as %s, run without", self.name, MAX_SIZES, size)
            return self._by_size.get(size)

    def _capture_all(self, size: Size) -> Mapping[int, CapturedGraph]:
        # the largest first, because the others then fit into its memory
        return {batch: self._capture(batch, size) for batch in reversed(batch_sizes(self.max_batch))}

    def _capture(self, batch: int, size: Size) -> CapturedGraph:
        pixels = torch.zeros(batch, 3, *size, device=self.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        self._stream.wait_stream(torch.cuda.current_stream(self.device))  # which zeroes ``pixels``
        graph = torch.cuda.CUDAGraph()
        # Around the warm-up too: that is when cuDNN searches, and the capture then finds the results.
        with CUDNN_AUTOTUNE:
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_RUNS):
                    # One turn for each run, so that images of other sizes get theirs in between.
                    with self._exclusive():
                        self._eager.infer(pixels=pixels)
            # A capture runs nothing, so it excludes no other size's run.
            with capture_graph(graph, self._stream, self._pool):
                outputs = self._eager.infer(pixels=pixels)
        self._pool = self._pool or graph.pool()
        return CapturedGraph(graph, pixels, outputs)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Run the block after all earlier runs of this engine, in whichever stream they were.

        Graphs share their memory and cuBLAS's workspace, so two must never run at the same time.
        """
        with self._run_lock:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(self._done)  # an event that was never recorded counts as reached
            try:
                yield
            finally:
                self._done.record(stream)


class CapturedGraph(NamedTuple):
    """A graph with the memory that it reads and writes."""

    graph: Any
    pixels: Tensor
    """(batch, 3, h, w) float32."""
    outputs: dict[str, Tensor]
