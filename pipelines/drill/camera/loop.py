"""One thread that serves sockets, runs timers, and executes calls from other threads.

Only this thread touches the camera's state, so nothing in it needs a lock.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")
OnReady = Callable[[int], None]
"""Called with ``selectors.EVENT_READ``, ``EVENT_WRITE`` or both."""

END_S = 5.0
"""Seconds: ending takes milliseconds, but a busy machine gets this long."""


class EventLoop:
    """An event loop between ``start`` and ``stop``; ``watch``, ``forget`` and ``at`` are for its own thread only."""

    def __init__(self, name: str) -> None:
        self._selector: selectors.BaseSelector
        self._awake: socket.socket
        self._waker: socket.socket
        self._calls: deque[Callable[[], None]] = deque()
        self._appointments: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._running = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._awake, self._waker = socket.socketpair()
        for end in (self._awake, self._waker):
            end.setblocking(False)
        self._selector.register(self._awake, selectors.EVENT_READ, self._drain_awake)
        self._running = True
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; raises RuntimeError if it does not end."""
        with self._gate:
            self._running = False
        self._wake()
        self._thread.join(END_S)
        if self._thread.is_alive():
            raise RuntimeError(f"thread {self._thread.name} did not end within {END_S} s")
        self._selector.close()
        self._awake.close()
        self._waker.close()

    def call(self, work: Callable[[], T]) -> T:
        """Run ``work`` on the loop's thread; returns or raises what it does. RuntimeError after the loop has ended."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001  it is raised in the caller's thread
                future.set_exception(error)

        with self._gate:
            if not self._running:
                raise RuntimeError("the camera has been switched off; use it inside its `with` block")
            self._calls.append(run)
        self._wake()
        return future.result()

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Call ``on_ready`` when ``sock`` is ready; a second call replaces the first."""
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, on_ready)
        else:
            self._selector.register(sock, events, on_ready)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching ``sock``; call it before closing the socket."""
        with suppress(KeyError):
            self._selector.unregister(sock)

    def at(self, mono_s: float, work: Callable[[], None]) -> None:
        """Run ``work`` at that time of the monotonic clock, or soon after."""
        heapq.heappush(self._appointments, (mono_s, next(self._order), work))

    def _run(self) -> None:
        try:
            while self._running:
                self._turn()
        finally:
            with self._gate:
                self._running = False
            self._run_calls()

    def _turn(self) -> None:
        timeout_s = max(0.0, self._appointments[0][0] - time.monotonic()) if self._appointments else None
        ready: list[tuple[selectors.SelectorKey, int]] = self._selector.select(timeout_s)
        for key, events in ready:
            if self._selector.get_map().get(key.fd) is key:  # an earlier one may have closed it
                on_ready: Any = key.data
                on_ready(events)
        self._run_calls()
        now = time.monotonic()
        while self._appointments and self._appointments[0][0] <= now:
            heapq.heappop(self._appointments)[2]()

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def _drain_awake(self, _events: int) -> None:
        with suppress(BlockingIOError):
            while self._awake.recv(4096):
                pass

    def _wake(self) -> None:
        with suppress(BlockingIOError, OSError):  # full: it is going to wake anyway
            self._waker.send(b"\0")
