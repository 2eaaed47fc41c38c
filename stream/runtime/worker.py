"""One stage in one named thread: feed it, time its steps, account for its frames, report failure, close in order."""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from time import monotonic_ns
from typing import Any, Protocol, TypeAlias, TypeVar

from stream.frames import Dropped, frames_of
from stream.runtime.channel import Channel, ChannelClosed
from stream.runtime.stats import DropKey, Durations, RateMeter, StageStats

T = TypeVar("T")

log = logging.getLogger(__name__)

Body: TypeAlias = Callable[[Any], Iterator[Any]]
"""A stage: an inbox in (for a source: the event that asks it to stop), an iterator of results out."""


class Graph(Protocol):
    """What a worker tells its pipeline, and what a source waits for."""

    ready: threading.Event
    """Set when every stage has opened what it needs and asked for its first item, or has ended."""

    def worker_ready(self, worker: Worker) -> None: ...

    def worker_ended(self, worker: Worker) -> None: ...


def greedy(inbox: Iterable[T], max_items: int, grace_s: float) -> Iterator[list[T]]:
    """For a stage's first body: lists of 1..max_items, what waits and what comes within ``grace_s`` of the first.

    From anything but a stage's own inbox, items come one by one: they are made when they are asked for.
    """
    return inbox.batches(max_items, grace_s) if isinstance(inbox, _Received | _Timed) else ([item] for item in inbox)


class Worker(threading.Thread):
    """Runs ``steps`` one after another, each feeding the next, and puts what comes out into every outbox."""

    def __init__(
        self,
        name: str,
        steps: Mapping[str, Body],
        inbox: Channel[Any] | threading.Event,
        graph: Graph,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.outboxes: list[Channel[Any]] = []
        self.error: Exception | None = None
        self.failed_at_ns = 0
        self._inbox, self._graph, self._is_ready = inbox, graph, False
        self._steps = {step: _Step(step, body, self) for step, body in steps.items()}
        self._doing = "not started"
        self._taken: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._dropped: Counter[DropKey] = Counter()
        self._age, self._ages, self._rate = Durations(), defaultdict[str, Durations](Durations), RateMeter()

    @property
    def step_names(self) -> list[str]:
        return list(self._steps)

    @property
    def is_source(self) -> bool:
        return not isinstance(self._inbox, Channel)

    def run(self) -> None:
        """Never raises: what went wrong is kept in ``error`` and told to the graph."""
        left_early = False
        try:
            self._work()
        except ChannelClosed:
            left_early = True
        except Exception as error:  # the one place where any failure becomes a report
            self.error, self.failed_at_ns = error, monotonic_ns()
            log.debug("stage %r failed", self.name, exc_info=True)
        finally:
            self._end(left_early)

    def doing(self, what: str) -> None:
        """Note for people what this thread is at."""
        self._doing = what

    def drop(self, item: Dropped) -> None:
        """Account for frames that a step decided not to pass on."""
        if self.is_source:
            self._taken.update(frame.camera for frame in item.frames)
        self._dropped.update((frame.camera, item.reason) for frame in item.frames)

    def stats(self) -> StageStats:
        # published before captured: a frame that moves on meanwhile is then counted as in flight, never as a surplus
        passed, dropped = dict(self._passed), dict(self._dropped)
        steps = {name: step.busy.spread() for name, step in self._steps.items()}
        ages = {camera: age.spread() for camera, age in self._ages.copy().items()}
        return StageStats(
            *(self.name, self._doing, steps, dict(self._taken), passed, dropped),
            *(self._age.spread(), ages, self._rate.fps),
        )

    def _work(self) -> None:
        feed: Any = _Received(self._inbox, self) if isinstance(self._inbox, Channel) else self._inbox
        with ExitStack() as steps:  # closes the last step first; what a step raises while it finishes is not lost
            for step in self._steps.values():
                feed = steps.enter_context(closing(step.run(feed)))
            if self.is_source:
                self.doing("waiting for the stages")
                self._graph.ready.wait()
            for item in feed:
                if self.is_source:
                    self.take(item)
                self._pass_on(item)

    def take(self, item: Any) -> None:
        """Account for the frames of ``item`` as come in."""
        self._taken.update(frame.camera for frame in frames_of(item))

    def note_ready(self) -> None:
        """The first item is asked for: what is needed is open."""
        if not self._is_ready and not self.is_source:
            self._is_ready = True
            self._graph.worker_ready(self)

    def _pass_on(self, item: Any) -> None:
        now = monotonic_ns()
        open_outboxes = 0
        for outbox in self.outboxes:
            self.doing(f"putting into {outbox.name}")
            try:
                outbox.put(item)
                open_outboxes += 1
            except ChannelClosed:
                log.debug("stage %r: the reader of %r has left", self.name, outbox.name)
        self._count_passed(item, now)
        if self.outboxes and not open_outboxes:
            raise ChannelClosed(self.name)

    def _count_passed(self, item: Any, now_ns: int) -> None:
        frames = frames_of(item)
        self._passed.update(frame.camera for frame in frames)
        self._rate.tick(now_ns, len(frames))
        if not self.outboxes:
            for frame in frames:
                age_ns = now_ns - frame.stamp.mono_ns
                self._age.add(age_ns)
                self._ages[frame.camera].add(age_ns)

    def _end(self, left_early: bool) -> None:
        aborted = isinstance(self._inbox, Channel) and self._inbox.aborted
        if self.error or left_early or aborted:
            reason = "failed" if self.error else "stopped"
            for camera, count in (self._taken - self._passed - _by_camera(self._dropped)).items():
                self._dropped[camera, reason] += count
        self.doing(f"failed: {self.error}" if self.error else "done")
        if isinstance(self._inbox, Channel):
            self._inbox.abort()
        for outbox in self.outboxes:
            outbox.close()
        self.note_ready()
        self._graph.worker_ended(self)


class _Received:
    """The first step's inbox: the channel's items, accounted for, one by one or in greedy batches."""

    def __init__(self, channel: Channel[Any], worker: Worker) -> None:
        self._channel, self._worker = channel, worker

    def __iter__(self) -> Iterator[Any]:
        return (item for (item,) in self._accounted([item] for item in self._channel))

    def batches(self, max_items: int, grace_s: float) -> Iterator[list[Any]]:
        return self._accounted(self._channel.batches(max_items, grace_s))

    def _accounted(self, batches: Iterable[list[Any]]) -> Iterator[list[Any]]:
        self._worker.note_ready()
        self._worker.doing("waiting for input")
        for batch in batches:
            for item in batch:
                self._worker.take(item)
            yield batch
            self._worker.doing("waiting for input")


class _Timed:
    """A step's inbox; what the step does between two items is its working time."""

    def __init__(self, feed: Any, step: _Step) -> None:
        self._feed, self._step = feed, step

    def __iter__(self) -> Iterator[Any]:
        return self._step.timed(self._feed)

    def batches(self, max_items: int, grace_s: float) -> Iterator[list[Any]]:
        return self._step.timed(greedy(self._feed, max_items, grace_s))


class _Step:
    """One body of a worker; its working time excludes waiting for input and for whoever takes the output."""

    def __init__(self, name: str, body: Body, worker: Worker) -> None:
        self.name, self.busy = name, Durations()
        self._body, self._worker = body, worker
        self._since_ns = self._spent_ns = 0

    def run(self, feed: Any) -> Generator[Any, None, None]:
        inbox = feed if isinstance(feed, threading.Event) else _Timed(feed, self)
        self._resume()
        results = self._body(inbox)
        try:
            for result in results:
                self._pause()
                if isinstance(feed, threading.Event):
                    self._finish_item()
                if isinstance(result, Dropped):
                    self._worker.drop(result)
                else:
                    yield result
                self._resume()
        finally:
            if isinstance(results, Generator):
                results.close()

    def timed(self, feed: Iterable[Any]) -> Iterator[Any]:
        for item in feed:
            self._spent_ns = 0
            self._resume()
            yield item
            self._pause()
            self._finish_item()

    def _resume(self) -> None:
        self._worker.doing(f"busy in {self.name}")
        self._since_ns = monotonic_ns()

    def _pause(self) -> None:
        self._spent_ns += monotonic_ns() - self._since_ns

    def _finish_item(self) -> None:
        self.busy.add(self._spent_ns)
        self._spent_ns = 0


def _by_camera(dropped: Mapping[DropKey, int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (camera, _), count in dropped.items():
        counts[camera] += count
    return counts
