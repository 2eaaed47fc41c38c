"""Notices that this process stood still: stopped by a signal, or starved of CPU."""

from __future__ import annotations

import threading
from time import monotonic_ns

from stream.core.clock import NS_PER_S

TICK_S = 0.1
PAUSE_S = 0.8
"""GStreamer's jitter buffer dates data that is late by up to 1 s right, and takes a longer delay for the new normal."""


class PauseWatch:
    """A thread that ticks; a tick that comes late shows a pause. Use it in a ``with`` block."""

    def __init__(self, name: str) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tick, name=f"pauses.{name}", daemon=True)
        self._lock = threading.Lock()
        self._ticked_ns = monotonic_ns()
        self._longest_ns = 0

    def start(self) -> None:
        self._ticked_ns = monotonic_ns()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def take_pause_s(self) -> float:
        """Seconds of the longest pause since the last call, one that has just ended included; 0 if there was none."""
        with self._lock:
            # Whichever thread runs first after a pause sees it.
            self._note()
            longest_ns, self._longest_ns = self._longest_ns, 0
        return longest_ns / NS_PER_S if longest_ns > PAUSE_S * NS_PER_S else 0.0

    def _tick(self) -> None:
        while not self._stopping.wait(TICK_S):
            with self._lock:
                self._note()

    def _note(self) -> None:
        now_ns = monotonic_ns()
        self._longest_ns, self._ticked_ns = max(self._longest_ns, now_ns - self._ticked_ns), now_ns
