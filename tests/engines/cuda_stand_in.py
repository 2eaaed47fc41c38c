"""Stands in for what torch.cuda needs a GPU for: streams, events, graphs. torch's own contexts of them are used.

Everything runs at once, in the calling thread. A network that is to be captured tells ``recording`` what it does.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

POOL = 32


class Stream:
    """The thirty-third is the first again, as torch's are."""

    def __init__(self, cuda: Cuda, number: int) -> None:
        self.cuda, self.cuda_stream, self.device = cuda, number % POOL, torch.device("cuda", 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return self.cuda_stream

    def wait_stream(self, other: Stream) -> None:
        self.cuda.calls.append(f"{self.cuda_stream} waits for {other.cuda_stream}")

    def wait_event(self, event: Event) -> None:
        self.cuda.calls.append(f"{self.cuda_stream} waits")

    def synchronize(self) -> None:
        self.cuda.calls.append(f"{self.cuda_stream} synchronize")


class Event:
    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda

    def record(self, stream: Stream) -> None:
        self.cuda.calls.append(f"{stream.cuda_stream} done")

    def synchronize(self) -> None:
        self.cuda.calls.append("synchronize")


class Graph:
    def __init__(self, cuda: Cuda) -> None:
        self.cuda, self.works = cuda, list[Callable[[], object]]()

    def capture_begin(self, *pool: Any, capture_error_mode: str, **more: Any) -> None:
        assert capture_error_mode == "thread_local"
        with self.cuda.lock:
            assert self.cuda.capturing is None, "two captures at once"
            self.cuda.capturing = self
        self.cuda.captures.append((self.cuda.current_stream().cuda_stream, pool))
        self.cuda.local.recording = self.works

    def capture_end(self) -> None:
        self.cuda.local.recording = None
        self.cuda.capturing = None
        if self.cuda.failing:
            raise RuntimeError("operation not permitted when stream is capturing\nmore lines")

    def pool(self) -> tuple[int, int]:
        return (0, 1)

    def replay(self) -> None:
        self.cuda.calls.append("replay")
        for work in self.works:
            work()


class Cuda:
    """A device that does everything at once and keeps a list of the calls that it received."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.captures: list[tuple[int, tuple[Any, ...]]] = []
        """Of each: the stream, and the pool that it shares, if any."""
        self.capturing: Graph | None = None
        self.failing = False
        self.lock, self.local, self._numbers = threading.Lock(), threading.local(), itertools.count(1)
        self.default = Stream(self, 0)

    @property
    def recording(self) -> list[Callable[[], object]] | None:
        """Where a network says what a replay must do again; None: nothing is captured by this thread."""
        found: list[Callable[[], object]] | None = getattr(self.local, "recording", None)
        return found

    def new_stream(self, device: object = None) -> Stream:
        return Stream(self, next(self._numbers))

    def current_stream(self, device: object = None) -> Stream:
        found: Stream = getattr(self.local, "stream", self.default)
        return found

    def set_stream(self, stream: Stream) -> None:
        self.local.stream = stream


def installed(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Instead of torch's, whose build here has none."""
    cuda = Cuda()
    stand_ins = {
        "Stream": cuda.new_stream,
        "Event": lambda **how: Event(cuda),
        "CUDAGraph": lambda: Graph(cuda),
        "current_stream": cuda.current_stream,
        "set_stream": cuda.set_stream,
        "synchronize": lambda device=None: cuda.calls.append("synchronize the device"),
        "empty_cache": lambda: None,
        "_exchange_device": lambda device: 0,
        "_maybe_exchange_device": lambda device: 0,
        "_get_device_index": lambda device, optional=False, allow_cpu=False: 0,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
    return cuda
