"""Capturing CUDA graphs: one at a time in a process, on a stream that nobody else uses."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

STREAMS = 32
"""torch has so many a device, hands them out in turn, and then the first again (c10/cuda/CUDAStream.cpp)."""

_capturing = threading.Lock()
_lent_lock = threading.Lock()
_lent: list[weakref.ref[Any]] = []


@contextmanager
def captured(graph: Any, stream: Any, pool: Any = None) -> Iterator[None]:
    """What is put into ``stream``, the current one inside, goes into ``graph``; other captures wait.

    torch synchronises the device before each (torch/cuda/graphs.py), which CUDA forbids while anything captures ("CUDA
    Graphs" in the programming guide). ``pool``: of an earlier graph of the same stream, to share its memory. The thread
    has its own stream again even where the capture cannot be ended, when torch forgets to give it back.
    """
    # thread_local: the default forbids other threads, which decode and copy, to allocate meanwhile
    capture = torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local")
    with _capturing, torch.cuda.stream(stream), capture:
        yield


def own_stream(device: torch.device) -> Any:
    """A torch.cuda.Stream that is no other living one of this function's, as long as there are fewer than STREAMS.

    A stream that captures must not be another part's "copy in": what that copies would be kept in the graph.
    """
    with _lent_lock:
        _lent[:] = [ref for ref in _lent if ref() is not None]
        for _ in range(STREAMS):
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            if all(stream != ref() for ref in _lent):
                break
        _lent.append(weakref.ref(stream))
        return stream


@contextmanager
def aside(device: torch.device) -> Iterator[None]:
    """Work that must not stand in another thread's queue; at the end it is done. On the CPU there is nothing to do."""
    stream = own_stream(device) if device.type == "cuda" else None
    on: AbstractContextManager[Any] = nullcontext() if stream is None else torch.cuda.stream(stream)
    with on:
        try:
            yield
        finally:
            if stream is not None:
                stream.synchronize()
