"""The product side of a drill, in a process of its own, so that it can be suspended:

    python -m pipelines.drill.child

Its standard input is one line of JSON (``Assignment``), and later a line to stop at; it stops, too, when the input ends
because the drill is gone. Its standard output is observations (``pipelines.drill.observation``), one per line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

from pipelines.drill.camera.numbered import read_number
from pipelines.drill.noise import Ticker
from pipelines.drill.observation import (
    Changed,
    ClockFault,
    Ended,
    LeftOut,
    Memory,
    Observation,
    Ready,
    Shown,
    digest,
    to_line,
)
from stream.core.clock import NS_PER_S, Deadline
from stream.core.log import set_up
from stream.errors import AccessDenied, SourceError
from stream.frames import Dropped, Frame
from stream.settings import NetworkCamera
from stream.sources.health import Health
from stream.sources.network.source import NetworkSource
from stream.sources.reconnect import Reconnecting
from stream.stages.capture import capture_live

END_S = 10.0
"""Longest wait for the cameras to end."""
LINGER_S = 2.0
"""Time in which threads that were left by a camera may still end by themselves."""
MEMORY_EVERY_S = 1.0


@dataclass(frozen=True)
class Assignment:
    """One camera to read."""

    settings: dict[str, Any]
    """Of a NetworkCamera."""
    busy_s: float = 0.0
    """Time that the consumer takes for each frame, seconds."""
    numbered: bool = False
    """Whether a number is painted into its images."""


class Reporter:
    """Writes observations to standard output, from any thread, one whole line each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, observation: Observation) -> None:
        line = to_line(observation) + "\n"
        with self._lock:
            sys.stdout.write(line)
            sys.stdout.flush()


class ReportedHealth(Health):
    """The health record of a camera, whose changes are reported the moment they happen."""

    def __init__(self, name: str, report: Reporter) -> None:
        super().__init__(name)
        self._report = report

    def live(self) -> None:
        self._report(Changed(self.name, monotonic_ns(), "live", ""))
        super().live()

    def lost(self, error: SourceError, log_lines: Iterable[str] = ()) -> None:
        state = "refused" if isinstance(error, AccessDenied) else "lost"
        self._report(Changed(self.name, monotonic_ns(), state, str(error)))
        super().lost(error, log_lines)

    def set_clock_fault(self, fault: str) -> None:
        self._report(ClockFault(self.name, monotonic_ns(), fault))
        super().set_clock_fault(fault)


class Consumer:
    """Reads one camera as a pipeline does (``pipelines.components.cameras``), in a thread, and reports every frame."""

    def __init__(self, assignment: Assignment, report: Reporter) -> None:
        self._assignment, self._report = assignment, report
        self._settings = NetworkCamera.model_validate(assignment.settings)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"consume.{self._settings.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        for item in self._items():
            now = monotonic_ns()
            if isinstance(item, Dropped):
                for frame in item.frames:
                    self._report(LeftOut(self._settings.name, now, frame.seq, item.reason))
            else:
                self._report(self._shown(item, now))
                if self._assignment.busy_s:
                    self._stopping.wait(self._assignment.busy_s)

    def _items(self) -> Iterator[Frame | Dropped]:
        settings = self._settings
        health = ReportedHealth(settings.name, self._report)
        source = Reconnecting(lambda: NetworkSource(settings), health)
        items: Iterator[Frame | Dropped] = capture_live(source, settings, health)(self._stopping)
        return items

    def _shown(self, frame: Frame, now_ns: int) -> Shown:
        stamp = frame.stamp
        number = read_number(frame.image) if self._assignment.numbered else None
        rest = (stamp.mono_ns, stamp.source, stamp.media_s, frame.integrity, number)
        return Shown(self._settings.name, now_ns, frame.seq, *rest, digest(frame.image))


def main() -> None:
    """Read the cameras until the next line, or the end, of standard input."""
    sys.setswitchinterval(0.001)  # the threads of two cameras share the interpreter with the ticker
    set_up(verbose=False)
    assignments = [Assignment(**each) for each in json.loads(sys.stdin.readline())]
    report = Reporter()
    stopping = threading.Event()
    threading.Thread(target=_await_stop, args=(stopping,), name="parent", daemon=True).start()
    with Ticker(report):
        _read(assignments, report, stopping)


def _read(assignments: list[Assignment], report: Reporter, stopping: threading.Event) -> None:
    consumers = [Consumer(each, report) for each in assignments]
    files, threads = _files(), set(threading.enumerate())
    report(Ready(monotonic_ns()))
    for consumer in consumers:
        consumer.start()
    while not stopping.wait(MEMORY_EVERY_S):
        report(Memory(monotonic_ns(), _resident_bytes()))
    began_ns, deadline = monotonic_ns(), Deadline.after(END_S)
    for consumer in consumers:
        consumer.stop()
    for consumer in consumers:
        consumer.join(deadline.left_s)
    stop_s = (monotonic_ns() - began_ns) / NS_PER_S
    left = _threads_left(threads)
    report(Ended(monotonic_ns(), stop_s, tuple(left), tuple(sorted((_files() - files).elements()))))


def _threads_left(before: set[threading.Thread]) -> list[str]:
    deadline = Deadline.after(LINGER_S)
    for thread in set(threading.enumerate()) - before:
        thread.join(deadline.left_s)
    return sorted(thread.name for thread in set(threading.enumerate()) - before)


def _await_stop(stopping: threading.Event) -> None:
    sys.stdin.readline()
    stopping.set()


def _files() -> Counter[str]:
    """What the open file descriptors are, such as "socket:[1234]"; empty where the system does not tell."""
    found: Counter[str] = Counter()
    with suppress(OSError):
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # the descriptor of the folder itself is closed again
                found[os.readlink(f"/proc/self/fd/{number}")] += 1
    return found


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
