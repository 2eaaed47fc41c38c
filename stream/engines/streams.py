"""The queues of a device, which run beside each other and wait for marks.

On the CPU everything happens at once and in order, so that what is written for a GPU runs, and is tested, without one.
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


StreamName = Literal["copy in", "preprocess", "work", "copy out", "colour"]


class Event:
    """A moment in a queue. On a GPU it lies ahead until the queue gets there."""

    def __init__(self, event: Any = None) -> None:
        self._event, self._at_ns = event, monotonic_ns()

    def wait(self) -> None:
        """Let this thread sleep until the queue is there."""
        if self._event is not None:
            self._event.synchronize()

    @property
    def reached(self) -> bool:
        """Whether the queue is there already; does not wait."""
        return self._event is None or bool(self._event.query())

    def ms_since(self, earlier: Event) -> float:
        """Milliseconds by the device's own clock; both must have been reached."""
        if self._event is None:
            return (self._at_ns - earlier._at_ns) / NS_PER_MS
        return float(earlier._event.elapsed_time(self._event))

    def hold(self, stream: Any) -> None:
        """Let a queue wait for it, not this thread."""
        if self._event is not None:
            stream.wait_event(self._event)


class DeviceStreams:
    """Queues of one device; several threads may use them, whoever needs an order among them keeps it by a lock."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._streams: dict[StreamName, Any] = {}
        if device.type == "cuda":
            _outlive_a_lost_device()
            self._streams = {queue: own_stream(device) for queue in get_args(StreamName)}

    def on(self, queue: StreamName) -> AbstractContextManager[Any]:
        """What torch is told to do inside goes into this queue."""
        if not self._streams:
            return nullcontext()
        return torch.cuda.stream(self._streams[queue])

    def mark(self, queue: StreamName) -> Event:
        """After all that is in the queue now. Threads that wait for it sleep (blocking events), they do not spin."""
        if not self._streams:
            return Event()
        event = torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._streams[queue])
        return Event(event)

    def after(self, queue: StreamName, mark: Event) -> None:
        """What is put into the queue from now on begins when ``mark`` is reached."""
        if self._streams:
            mark.hold(self._streams[queue])


def _outlive_a_lost_device() -> None:
    """Page-locked memory may be let go of when the device has failed.

    Else torch ends the process there: the error leaves a destructor (pytorch/pytorch#178154). Versions that do not know
    this setting ignore it.
    """
    with suppress(AttributeError, RuntimeError, ValueError):
        settings = torch._C._accelerator_getAllocatorSettings()
        if "pinned_free_catch_all" not in settings:
            wanted = f"{settings},pinned_free_catch_all:True".lstrip(",")
            torch._C._accelerator_setAllocatorSettings(wanted)


@contextmanager
def device_errors(name: str) -> Iterator[None]:
    """torch's errors as ours: OutOfDeviceMemory, where a smaller batch may help, or EngineError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfDeviceMemory(f"{name}: the device is out of memory: {first_line(error)}") from error
    except RuntimeError as error:
        raise EngineError(f"{name}: the device failed: {first_line(error)}") from error
