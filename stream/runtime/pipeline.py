"""A graph of stages joined by channels; ``with`` starts it and always stops it.

    pipe = Pipeline("video")
    camera = pipe.source("capture", capture(source))
    depth = pipe.stage("depth", chain(preprocess=..., infer=...), after=[camera], policy="latest")
    pipe.stage("publish", publish(sink), after=[depth])
    with pipe:
        pipe.wait()

Data flows down, ``close()`` follows it, errors go up. A stage that fails aborts the pipeline. A source that fails ends
like one that has finished: the frames it captured are still delivered, other cameras go on, and its error is raised at
the end. There are two ways to stop: *drain* (sources end, everything in flight is delivered) and *abort* (now).
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic_ns
from typing import Any, Self

from stream.core.clock import NS_PER_S, Deadline
from stream.errors import StageError
from stream.runtime.channel import Channel, Policy
from stream.runtime.stats import Account, CameraHealth, DropKey, EdgeStats, PipelineStats, StageStats
from stream.runtime.worker import Body, Worker

log = logging.getLogger(__name__)

MAX_NAMED_STAGES = 2
"""Number of stages before a channel that its name spells out; more are only counted."""
ABORT_GRACE_S = 0.5
"""Time that a body has after an abort to notice that its channels are closed."""


class Chain(dict[str, Body]):
    """Named bodies that run one after another in a single worker."""


def chain(**bodies: Body) -> Chain:
    """Run several bodies in one thread, each feeding the next: ``chain(preprocess=..., infer=...)``."""
    # A channel before a 60 ms network at 30 fps gave 16.2 fps and an age of 197 ms, one thread 15.0 fps and 79 ms.
    return Chain(bodies)


class Pipeline:
    """Built top to bottom, run once. Leaving ``with`` raises StageError when a stage failed or did not stop.

    If a thread cannot be started, entering ``with`` stops the stages already started and raises the error.
    """

    def __init__(self, name: str, *, stop_timeout_s: float = 5.0) -> None:
        self.name, self.stop_timeout_s = name, stop_timeout_s
        self.stopping = threading.Event()
        self._workers: list[Worker] = []
        self._edges: dict[str, tuple[Channel[Any], tuple[str, ...]]] = {}
        self.ready = threading.Event()
        """Set when every stage has opened what it needs. Sources wait for it, so that no frame is stale at start."""
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._alive = self._opening = 0
        self._statistics: dict[str, Callable[[], Mapping[str, float]]] = {}
        self._notes: list[Callable[[], str]] = []
        self._cameras: list[Callable[[], CameraHealth]] = []
        self._started_ns = self._ended_ns = 0

    def source(self, name: str, body: Body | Chain) -> Worker:
        """Add a body that takes the event ``stopping`` instead of an inbox. Raises ValueError for a name in use."""
        return self._add(Worker(name, _steps(name, body), self.stopping, self))

    def stage(
        self,
        name: str,
        body: Body | Chain,
        after: Sequence[Worker],
        *,
        capacity: int = 1,  # what waits ages: with a 60 ms network 2 gave an age of 268 ms, 1 gave 207
        policy: Policy = "block",
    ) -> Worker:
        """Add a body fed by everything that the workers ``after`` yield. Raises ValueError for a name in use."""
        inbox = self._edge(name, after, capacity, policy)
        return self._add(Worker(name, _steps(name, body), inbox, self))

    def outlet(
        self, name: str, after: Sequence[Worker], *, capacity: int = 1, policy: Policy = "block"
    ) -> Channel[Any]:
        """Add a channel fed by ``after``, for a reader that is not a stage (for example the main thread)."""
        return self._edge(name, after, capacity, policy)

    def __enter__(self) -> Self:
        self._started_ns, self._alive = monotonic_ns(), len(self._workers)
        self._opening = sum(not worker.is_source for worker in self._workers)
        if not self._opening:
            self.ready.set()
        try:
            for worker in reversed(self._workers):  # readers before writers
                worker.start()
        except BaseException:
            self._stop_started()
            raise
        return self

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every stage has ended; False if ``timeout_s`` passes first. Ctrl-C interrupts the wait."""
        # An event needs no polling for that: Ctrl-C ends the wait within 0.2 ms (measured).
        return self._ended.wait(timeout_s)

    def drain(self) -> None:
        """Stop the sources; frames in flight are still delivered. Returns at once: see ``wait``."""
        self.stopping.set()

    def abort(self) -> None:
        """Stop now; frames in flight are dropped and counted."""
        self.stopping.set()
        for channel, _ in self._edges.values():
            channel.abort()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        try:
            deadline = Deadline.after(self.stop_timeout_s)
            self.drain() if error is None else self.abort()
            for outlet in self._outlets():
                self._edges[outlet][0].abort()  # its reader has left the ``with`` block
            if not self.wait(deadline.left_s):
                stuck = self._still_running()
                self.abort()
                self.wait(ABORT_GRACE_S)
                self._raise_failures(error)
                raise StageError(f"{self.name}: not stopped after {self.stop_timeout_s:g} s: {stuck}") from error
        except KeyboardInterrupt:
            self.abort()
            self.wait(ABORT_GRACE_S)  # sinks finish their files
            raise
        self._raise_failures(error)

    def stats(self) -> PipelineStats:
        """A snapshot; any thread may take it at any time."""
        # From the terminals up: a frame that moves on meanwhile then counts as in flight, never as a surplus.
        edges = {reader: self._edges[reader][0].stats() for reader in self._outlets()}
        stages = []
        for worker in reversed(self._workers):
            stages.append(worker.stats())
            if worker.name in self._edges:
                edges[worker.name] = self._edges[worker.name][0].stats()
        stages.reverse()
        until = self._ended_ns or monotonic_ns()
        running_s = (until - self._started_ns) / NS_PER_S if self._started_ns else 0.0
        accounts = self._accounts({stage.name: stage for stage in stages}, edges)
        statistics = {name: dict(statistics()) for name, statistics in self._statistics.items()}
        notes, cameras = tuple(note() for note in self._notes), tuple(health() for health in self._cameras)
        in_order = tuple(edges[reader] for reader in self._edges)
        return PipelineStats(self.name, running_s, tuple(stages), in_order, tuple(accounts), statistics, cameras, notes)

    def add_statistics(self, name: str, statistics: Callable[[], Mapping[str, float]]) -> None:
        """Add a recipe's own numbers to every snapshot, under a heading (for example the error of the depth)."""
        self._statistics[name] = statistics

    def add_camera(self, health: Callable[[], CameraHealth]) -> None:
        """Add a live camera's health to every snapshot."""
        self._cameras.append(health)

    def add_note(self, note: Callable[[], str]) -> None:
        """Add a line to every snapshot that is needed to judge its numbers (for example which network ran)."""
        self._notes.append(note)

    def graph(self) -> list[str]:
        """The stages and their channels as lines of text, in order."""
        lines = []
        for worker in self._workers:
            channel, after = self._edges.get(worker.name, (None, ()))
            steps = " > ".join(worker.step_names)
            edge = f"  after {', '.join(after)} ({channel.policy}, capacity {channel.capacity})" if channel else ""
            lines.append(f"{worker.name}{f' [{steps}]' if steps != worker.name else ''}{edge}")
        return lines

    def _edge(self, reader: str, after: Sequence[Worker], capacity: int, policy: Policy) -> Channel[Any]:
        names = tuple(worker.name for worker in after)
        if reader in self._edges:
            raise ValueError(f"pipeline {self.name!r}: there are two stages called {reader!r}")
        label = f"{'+'.join(names) if len(names) <= MAX_NAMED_STAGES else f'{len(names)} sources'} > {reader}"
        channel: Channel[Any] = Channel(capacity, policy, name=label, producers=len(after))
        self._edges[reader] = (channel, names)
        for worker in after:
            worker.outboxes.append(channel)
        return channel

    def _add(self, worker: Worker) -> Worker:
        if any(worker.name == other.name for other in self._workers):
            raise ValueError(f"pipeline {self.name!r}: there are two stages called {worker.name!r}")
        self._workers.append(worker)
        return worker

    def worker_ready(self, worker: Worker) -> None:
        """Called once by each stage's worker."""
        with self._lock:
            self._opening -= 1
            if self._opening == 0:
                self.ready.set()

    def worker_ended(self, worker: Worker) -> None:
        """Called by each worker as the last thing it does."""
        # Not for a source: a truncated file loses no good frame, and one camera never stops another (decision 1).
        if worker.error and not worker.is_source:
            log.debug("%s: stage %r failed, stopping the pipeline", self.name, worker.name)
            self.abort()
        with self._lock:
            self._alive -= 1
            if self._alive == 0:
                self._ended_ns = monotonic_ns()
                self._ended.set()

    def _stop_started(self) -> None:
        """Stop the stages that have begun, after the thread of another one could not be started."""
        self.abort()
        self.ready.set()  # the missing stage never will, and sources wait for it
        deadline = Deadline.after(self.stop_timeout_s)
        for worker in self._workers:
            if worker.is_alive():
                worker.join(deadline.left_s)

    def _outlets(self) -> list[str]:
        stages = {worker.name for worker in self._workers}
        return [reader for reader in self._edges if reader not in stages]

    def _still_running(self) -> str:
        return ", ".join(f"{w.name} ({w.stats().state})" for w in self._workers if w.is_alive())

    def _raise_failures(self, error: BaseException | None) -> None:
        # A failed stage has stopped the pipeline, a failed source only itself: the stage's error comes first.
        failed = sorted((w for w in self._workers if w.error), key=lambda w: (w.is_source, w.failed_at_ns))
        if failed and (error is None or isinstance(error, Exception)):
            first = failed[0]
            raise StageError(f"{self.name}: stage {first.name!r} failed: {first.error}") from first.error

    def _accounts(self, stages: Mapping[str, StageStats], edges: Mapping[str, EdgeStats]) -> Iterator[Account]:
        feeding = {name for _, after in self._edges.values() for name in after}
        for terminal in dict.fromkeys((*stages, *edges)):
            if terminal not in feeding:
                above = self._upstream(terminal)
                for camera in _cameras(above, stages, edges):
                    yield _account(terminal, camera, above, stages, edges)

    def _upstream(self, name: str) -> list[str]:
        """``name`` and everything that feeds it, from the terminal up."""
        above = [name]
        for place in above:  # grows while it is walked
            above += [n for n in self._edges.get(place, (None, ()))[1] if n not in above]
        return above


def _steps(name: str, body: Body | Chain) -> Mapping[str, Body]:
    return body if isinstance(body, Chain) else {name: body}


def _cameras(above: Sequence[str], stages: Mapping[str, StageStats], edges: Mapping[str, EdgeStats]) -> list[str]:
    sources = [stages[place] for place in above if place in stages and place not in edges]
    return sorted({camera for source in sources for camera in source.taken})


def _account(
    terminal: str,
    camera: str,
    above: Sequence[str],
    stages: Mapping[str, StageStats],
    edges: Mapping[str, EdgeStats],
) -> Account:
    captured, dropped = 0, Counter[str]()
    for place in reversed(above):
        if place in edges:
            dropped.update(_drops(edges[place].name, camera, edges[place].dropped))
        elif place in stages:
            captured += stages[place].taken.get(camera, 0)
        if place in stages:
            dropped.update(_drops(place, camera, stages[place].dropped))
    arrived = stages[terminal].passed if terminal in stages else edges[terminal].taken
    return Account(terminal, camera, captured, arrived.get(camera, 0), dict(dropped))


def _drops(where: str, camera: str, dropped: Mapping[DropKey, int]) -> dict[str, int]:
    return {f"{reason} ({where})": count for (owner, reason), count in dropped.items() if owner == camera and count}
