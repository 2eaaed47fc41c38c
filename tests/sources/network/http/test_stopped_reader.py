"""A process that was stopped never gives an image a younger age than it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from time import monotonic_ns

import pytest

from tests.sources.network.http.http_camera import CERTIFICATE, PATIENCE_S, Exchange, HttpCamera, part, stream_head

FPS = 15
MISSED = 22
"""Images that are sent while the reader is stopped: 1.5 s."""
LAW_MS = 100
"""An age may be too low by this much."""


class Pushing:
    """A camera whose images carry their number, and which remembers when each was sent."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._numbers = count()
        self.sent_ns: dict[int, int] = {}
        """By number: when the system had taken the image, so at the latest when it arrived if none waited before it."""

    def _image(self, number: int) -> bytes:
        text = f"{number:010d}".encode()
        # A comment, and coded data that nothing but a decoder would object to.
        jpeg = b"\xff\xd8\xff\xfe\x00\x1a" + bytes(14) + text + b"\xff\xda\x00\x02" + bytes(self._size) + b"\xff\xd9"
        return part(jpeg)

    def push(self, exchange: Exchange) -> None:
        exchange.send(stream_head())
        while not exchange.over.wait(1 / FPS):
            number = next(self._numbers)
            try:
                exchange.send(self._image(number))
            finally:
                self.sent_ns[number] = monotonic_ns()


class Child:
    """The reading process and what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._changed = threading.Condition()
        self.images: list[tuple[int, int]] = []
        """Number and ``first_ns`` of each."""
        self.behind = 0
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith("\n"):
                return  # it was killed meanwhile
            first, _, second = line.partition(" ")
            with self._changed:
                if first == "behind":
                    self.behind += 1
                else:
                    self.images.append((int(first), int(second)))
                self._changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), (self.images, self.behind)

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(PATIENCE_S)


@contextmanager
def reading(url: str) -> Iterator[Child]:
    command = [sys.executable, "-m", "tests.sources.network.http.reading_child", url, str(CERTIFICATE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        child = Child(process)
        try:
            yield child
        finally:
            child.close()


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("size", [500, 10_000, 100_000], ids=["0.5 kB", "10 kB", "100 kB"])
def test_a_stopped_reader_tells_true_ages_or_begins_anew(size: int, tls: bool) -> None:
    """Small images wait here, where their arrival is known; large ones fill the connection and wait at the camera."""
    camera = Pushing(size)
    with HttpCamera({"/": camera.push}, tls=tls) as server, reading(server.url("/")) as child:
        child.wait(lambda: len(child.images) >= 5)
        child.send(signal.SIGSTOP)
        sent = len(camera.sent_ns)
        waiter = threading.Event()
        until_ns = monotonic_ns() + MISSED * 1_000_000_000 // FPS
        while (left_ns := until_ns - monotonic_ns()) > 0:  # the camera may have to wait for the reader
            waiter.wait(left_ns / 1e9)
        stopped_until = len(camera.sent_ns)
        child.send(signal.SIGCONT)
        child.wait(lambda: any(number > stopped_until + 3 for number, _ in child.images))
    late_ms = {number: (first_ns - camera.sent_ns[number]) // 1_000_000 for number, first_ns in child.images}
    assert max(late_ms.values()) <= LAW_MS, late_ms
    assert child.behind <= 1
    if size == 500:
        assert child.behind == 0, "all of it waited here"
        assert set(range(sent + 1, stopped_until - 1)) <= set(late_ms)
    if size == 100_000:
        assert child.behind == 1
