"""CUDA streams and events of one device, CUDA graph capture, and translation of torch's device errors.

On the CPU every operation runs synchronously and in order, so code written for a GPU runs, and is tested, without one.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from time import monotonic_ns
from typing import Any, Literal, get_args

import torch

from stream.core.clock import NS_PER_MS
from stream.errors import EngineError, OutOfDeviceMemory, first_line

StreamName = Literal["copy in", "preprocess", "compute", "copy out", "colour"]

POOL_SIZE = 32
"""torch has this many streams per device and hands them out round-robin (c10/cuda/CUDAStream.cpp)."""


class Event:
    """A point in a CUDA stream. It lies in the future until the device has done all work recorded before it."""

    def __init__(self, event: Any = None) -> None:
        """``event``: a recorded torch.cuda.Event; None on the CPU, where the event is complete at once."""
        self._event, self._at_ns = event, monotonic_ns()

    def wait(self) -> None:
        """Block the calling thread until the event is complete."""
        if self._event is not None:
            self._event.synchronize()

    @property
    def completed(self) -> bool:
        """Whether the device has got there already; does not wait."""
        return self._event is None or bool(self._event.query())

    def ms_since(self, earlier: Event) -> float:
        """Milliseconds between two completed events, by the device's own clock."""
        if self._event is None:
            return (self._at_ns - earlier._at_ns) / NS_PER_MS
        return float(earlier._event.elapsed_time(self._event))

    def block(self, stream: Any) -> None:
        """Make the torch.cuda.Stream ``stream`` wait for this event; the calling thread does not wait."""
        if self._event is not None:
            stream.wait_event(self._event)


class DeviceStreams:
    """The named CUDA streams of one device; on the CPU all operations run at once.

    Several threads may use them. A caller that needs an order between threads keeps it with its own lock.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._streams: dict[StreamName, Any] = {}
        if device.type == "cuda":
            _survive_device_loss()
            self._streams = {name: dedicated_stream(device) for name in get_args(StreamName)}

    def on(self, name: StreamName) -> AbstractContextManager[Any]:
        """Make this stream torch's current one inside the ``with`` block."""
        if not self._streams:
            return nullcontext()
        return torch.cuda.stream(self._streams[name])

    def record(self, name: StreamName) -> Event:
        """An event after all work that the stream holds now.

        It is a blocking event: threads that wait for it sleep instead of spinning.
        """
        if not self._streams:
            return Event()
        event = torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._streams[name])
        return Event(event)

    def wait_event(self, name: StreamName, event: Event) -> None:
        """Work submitted to this stream from now on starts only when ``event`` is complete."""
        if self._streams:
            event.block(self._streams[name])


_dedicated_lock = threading.Lock()
# Weak, so that a stream can be handed out again once its engine is gone.
_dedicated: list[weakref.ref[Any]] = []


def dedicated_stream(device: torch.device) -> Any:
    """A torch.cuda.Stream that no other living caller of this function has, while fewer than POOL_SIZE are alive.

    A stream that captures a graph must not also be another part's "copy in": its copies would end up in the graph.
    """
    with _dedicated_lock:
        _dedicated[:] = [ref for ref in _dedicated if ref() is not None]
        # There is no way to ask for an unused stream, but so many draws see each of them once.
        for _ in range(POOL_SIZE):
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            if all(stream != ref() for ref in _dedicated):
                break
        _dedicated.append(weakref.ref(stream))
        return stream


@contextmanager
def side_stream(device: torch.device) -> Iterator[None]:
    """Run the block on a stream of its own and synchronise it at the end; on the CPU this does nothing.

    For background work that must not queue up behind, or in front of, another thread's work.
    """
    stream = dedicated_stream(device) if device.type == "cuda" else None
    on: AbstractContextManager[Any] = nullcontext() if stream is None else torch.cuda.stream(stream)
    with on:
        try:
            yield
        finally:
            if stream is not None:
                # Other streams do not wait for this one, and use what the block made right after it.
                stream.synchronize()


_capture_lock = threading.Lock()


@contextmanager
def capture_graph(graph: Any, stream: Any, pool: Any = None) -> Iterator[None]:
    """Capture into ``graph`` what the block submits to ``stream``, which is the current stream inside.

    ``pool``: memory pool of an earlier graph of the same stream, to share its memory. Captures exclude each other:
    torch synchronises the device before each one (torch/cuda/graphs.py), which CUDA forbids while any capture is under
    way ("CUDA Graphs" in the programming guide).
    """
    # thread_local: the default mode forbids other threads, which decode and copy, to allocate during a capture
    capture = torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local")
    # torch does not restore the previous stream when ending a capture fails; the middle context manager does
    with _capture_lock, torch.cuda.stream(stream), capture:
        yield


@contextmanager
def device_errors(name: str) -> Iterator[None]:
    """Raise torch's errors as ours: OutOfDeviceMemory, where a smaller batch may help, or EngineError."""
    try:
        yield
    except torch.OutOfMemoryError as error:  # first, because it is a RuntimeError, too
        raise OutOfDeviceMemory(f"{name}: the device is out of memory: {first_line(error)}") from error
    except RuntimeError as error:
        raise EngineError(f"{name}: the device failed: {first_line(error)}") from error


def _survive_device_loss() -> None:
    """Let page-locked memory be freed after the device has failed.

    Without this setting torch ends the process, because the error leaves a destructor (pytorch/pytorch#178154).
    Versions that do not know the setting ignore it.
    """
    with suppress(AttributeError, RuntimeError, ValueError):
        settings = torch._C._accelerator_getAllocatorSettings()
        if "pinned_free_catch_all" not in settings:
            # Appended, so that what the program has set stays in force.
            wanted = f"{settings},pinned_free_catch_all:True".lstrip(",")
            torch._C._accelerator_setAllocatorSettings(wanted)
