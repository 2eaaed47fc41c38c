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

After ``stay_open`` sources may come and go while the pipeline runs, and the stages wait for more when the last one has
ended. One thread calls ``add_source``, ``remove_source`` and, now and then, ``settle``:

    add_source --> running --remove_source--> leaving --> settled: its body has ended, and the last of its frames has
                      |                                   |        been published or dropped
                      | ends or fails by itself           |
                      v                                   +--> gone, or the source that was added under its name
                    over --remove_source--> leaving            meanwhile starts, and continues its counters
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import monotonic_ns
from typing import Any, Self

from stream.core.clock import NS_PER_S, Deadline
from stream.errors import SinkError, StageError
from stream.runtime.channel import Channel, Policy
from stream.runtime.graph import StageGraph
from stream.runtime.stats import CameraHealth, PipelineStats
from stream.runtime.worker import Body, Worker

log = logging.getLogger(__name__)

SIGNAL_CHECK_S = 0.5
"""Longest single wait for the end, after which a signal that came just before it is handled."""
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
        """Set as soon as the sources are to end."""
        self._graph = StageGraph(name)
        self.ready = threading.Event()
        """Set when every stage has opened what it needs. Sources wait for it, so that no frame is stale at start."""
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._alive = self._opening = 0
        self._stays_open = False
        self._leaving: dict[str, Worker] = {}
        self._successors: dict[str, Worker] = {}
        self._settling = threading.Lock()
        self._statistics: dict[str, Callable[[], Mapping[str, float]]] = {}
        self._notes: list[Callable[[], str]] = []
        self._cameras: list[Callable[[], CameraHealth]] = []
        self._started_ns = self._ended_ns = 0

    def source(self, name: str, body: Body | Chain, *, health: Callable[[], CameraHealth] | None = None) -> Worker:
        """Add a body that takes the event that stops it instead of an inbox. Raises ValueError for a name in use.

        ``health`` becomes part of every snapshot.
        """
        return self._graph.add(Worker(name, _steps(name, body), threading.Event(), self, health=health))

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
        inbox = self._graph.connect(name, after, capacity, policy)
        return self._graph.add(Worker(name, _steps(name, body), inbox, self))

    def outlet(
        self, name: str, after: Sequence[Worker], *, capacity: int = 1, policy: Policy = "block"
    ) -> Channel[Any]:
        """Add a channel fed by ``after``, for a reader that is not a stage (for example the main thread)."""
        return self._graph.connect(name, after, capacity, policy)

    def stay_open(self) -> None:
        """Wait for more sources when all have ended, until ``drain``; call it on the complete graph, before its start.

        A source that comes later feeds every stage that is fed by sources, and by no other stage.
        """
        self._graph.open_entries()
        self._stays_open = True

    def __enter__(self) -> Self:
        self._started_ns, self._alive = monotonic_ns(), len(self._graph.workers)
        self._opening = sum(not worker.is_source for worker in self._graph.workers)
        if not self._opening:
            self.ready.set()
        try:
            for worker in reversed(self._graph.workers):  # readers before writers
                worker.start()
        except BaseException:
            self._stop_started()
            raise
        return self

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every stage has ended; False if ``timeout_s`` passes first. Ctrl-C interrupts the wait."""
        # Ctrl-C ends the wait within 0.2 ms (measured), except in the microseconds before the thread sleeps: there the
        # signal is noted, but interrupts nothing until this wait ends.
        deadline = None if timeout_s is None else Deadline.after(timeout_s)
        while not self._ended.wait(SIGNAL_CHECK_S if deadline is None else min(SIGNAL_CHECK_S, deadline.left_s)):
            if deadline is not None and deadline.passed:
                return False
        return True

    def add_source(self, name: str, body: Body | Chain, *, health: Callable[[], CameraHealth] | None = None) -> None:
        """Start a source while the pipeline runs, after ``stay_open``.

        If a removed source of this name has not settled yet, the new one waits for that (see ``settle``), so that two
        never open the same camera. Raises ValueError for a name in use, and StageError when the pipeline is stopping or
        the thread cannot be started.
        """
        worker = Worker(name, _steps(name, body), threading.Event(), self, health=health)
        with self._lock:
            if not self._stays_open or not self._started_ns:
                raise ValueError(f"pipeline {self.name!r} takes no sources now: call stay_open, and start it")
            if self.stopping.is_set():
                raise StageError(f"{self.name}: {name!r} was not added, because the pipeline is stopping")
            if name in self._leaving and name not in self._successors:
                self._successors[name] = worker
            else:
                self._start_source(worker)

    def remove_source(self, name: str) -> None:
        """Ask a source to end; returns at once. Its frames in flight are still delivered, and its numbers stay.

        Raises ValueError if there is no source of this name, or if it has been removed before.
        """
        with self._lock:
            if self._successors.pop(name, None):
                return
            worker = next((w for w in self._graph.sources if w.name == name), None)
            if worker is None or name in self._leaving:
                raise ValueError(f"pipeline {self.name!r} has no source called {name!r}")
            self._leaving[name] = worker
            worker.stop()

    def settle(self) -> list[str]:
        """Complete what ``remove_source`` began, as far as it can be now; returns the names of sources that are gone.

        For a source whose last frame has left the pipeline, the stages forget its cameras and finish their files
        (``KeepsCameras``). Then the source that waits for its name starts; without one it is gone. Its numbers stay in
        the accounts: by name for the last sources removed, of all older ones as a sum.
        """
        with self._settling:
            with self._lock:
                settled = [worker for worker in self._leaving.values() if self._is_settled(worker)]
                workers = list(self._graph.workers)
            for source in settled:  # without the lock, because finishing a file takes a moment
                for camera in source.counts.cameras:
                    _release(camera, workers)
            with self._lock:
                return [source.name for source in settled if not self._replace(source)]

    def drain(self) -> None:
        """Stop the sources; frames in flight are still delivered. Returns at once: see ``wait``."""
        with self._lock:
            if not self.stopping.is_set():
                self._stop_sources()
                for channel in self._graph.entries:
                    channel.close()

    def abort(self) -> None:
        """Stop now; frames in flight are dropped and counted."""
        with self._lock:
            self._stop_sources()
        for channel in self._graph.channels:
            channel.abort()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        try:
            deadline = Deadline.after(self.stop_timeout_s)
            self.drain() if error is None else self.abort()
            for outlet in self._graph.outlets:
                self._graph.channel(outlet).abort()  # its reader has left the ``with`` block
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
        with self._lock:  # no source comes or goes meanwhile
            stages, edges, accounts = self._graph.counted()
            removed = self._removed_cameras()
            marked = tuple(replace(each, is_removed=each.camera in removed) for each in accounts)
            healths = [*self._cameras, *self._healths()]
        until = self._ended_ns or monotonic_ns()
        running_s = (until - self._started_ns) / NS_PER_S if self._started_ns else 0.0
        statistics = {name: dict(statistics()) for name, statistics in self._statistics.items()}
        notes, cameras = tuple(note() for note in self._notes), tuple(health() for health in healths)
        return PipelineStats(self.name, running_s, stages, edges, marked, statistics, cameras, notes)

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
        return self._graph.lines()

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
        elif worker.error and self._stays_open:  # the end of the pipeline, which raises it, may be months away
            log.warning("%s has ended: %s; the others go on", worker.name, worker.error)
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
        for worker in self._graph.workers:
            if worker.is_alive():
                worker.join(deadline.left_s)

    def _still_running(self) -> str:
        return ", ".join(f"{w.name} ({w.stats().state})" for w in self._graph.workers if w.is_alive())

    def _raise_failures(self, error: BaseException | None) -> None:
        # A failed stage has stopped the pipeline, a failed source only itself: the stage's error comes first.
        failed = sorted((w for w in self._graph.workers if w.error), key=lambda w: (w.is_source, w.failed_at_ns))
        if failed and (error is None or isinstance(error, Exception)):
            first = failed[0]
            raise StageError(f"{self.name}: stage {first.name!r} failed: {first.error}") from first.error

    def _stop_sources(self) -> None:
        self._successors.clear()
        for source in self._graph.sources:
            source.stop()
        # Last: a second Ctrl-C that is sent on seeing it must not come while the events' locks are taken.
        self.stopping.set()

    def _start_source(self, source: Worker) -> None:
        self._graph.add_source(source)
        self._alive += 1
        try:
            source.start()
        except RuntimeError as error:  # the system has no thread left
            self._alive -= 1
            self._graph.remove_source(source)
            for channel in source.outboxes:
                channel.close()
            raise StageError(f"{self.name}: the thread of {source.name!r} cannot be started: {error}") from error

    def _is_settled(self, source: Worker) -> bool:
        """True if the source has ended, and none of its frames is in a stage or a channel."""
        if not source.has_ended:
            return False
        cameras = source.counts.cameras
        _, _, accounts = self._graph.counted()
        if any(account.in_flight for account in accounts if account.camera in cameras):
            return False
        # A terminal may have published a frame that the stage above it has not yet counted as passed.
        return not any(worker.counts.is_inside(camera) for worker in self._graph.workers for camera in cameras)

    def _replace(self, source: Worker) -> bool:
        """Take a settled source out of the graph; False if no other one takes its place."""
        self._graph.remove_source(source)
        del self._leaving[source.name]
        successor = self._successors.pop(source.name, None)
        if successor is not None:
            self._start_source(successor)
        else:
            self._graph.forget_old_sources()
        return successor is not None

    def _removed_cameras(self) -> frozenset[str]:
        left = {name for name in self._leaving if name not in self._successors}
        present = [source.counts.cameras for source in self._graph.sources if source.name not in left]
        leaving = [self._leaving[name].counts.cameras for name in left]
        return frozenset().union(*leaving, self._graph.removed.cameras).difference(*present)

    def _healths(self) -> Iterator[Callable[[], CameraHealth]]:
        """The health of each live camera, of a replaced one that of its successor; a removed one has none."""
        for worker in self._graph.workers:
            current = self._successors.get(worker.name) if worker.name in self._leaving else worker
            if current is not None and current.health is not None:
                yield current.health


def _release(camera: str, workers: Sequence[Worker]) -> None:
    for worker in workers:
        try:
            worker.release(camera)
        except SinkError as error:  # a file that cannot be finished; the other cameras go on
            log.warning("%s: what was kept of camera %r could not be finished: %s", worker.name, camera, error)


def _steps(name: str, body: Body | Chain) -> Mapping[str, Body]:
    return body if isinstance(body, Chain) else {name: body}
