"""One stage in one named thread: feed it, time its steps, account for its frames, report failure, close in order."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from time import monotonic_ns
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from stream.frames import Dropped, frames_of
from stream.runtime.channel import Channel, ChannelClosed
from stream.runtime.counts import FrameCounts
from stream.runtime.meters import Durations, RateMeter
from stream.runtime.stats import CameraHealth, StageStats

T = TypeVar("T")

log = logging.getLogger(__name__)

Body: TypeAlias = Callable[[Any], Iterator[Any]]
"""A stage: takes an inbox (a source: the event that stops it) and returns an iterator of results."""


@runtime_checkable
class KeepsCameras(Protocol):
    """A body (or a sink) that keeps something for each camera: a colour range, the previous frame, a file."""

    def release(self, camera: str) -> None:
        """Forget ``camera``, and finish its file. Any thread may call it, when no frame of the camera is in flight.

        A camera of the same name may come later, perhaps with images of another size. Raises SinkError for a file
        that cannot be finished.
        """


def release_all(things: Iterable[object], camera: str) -> None:
    """Release ``camera`` in those of ``things`` that keep something for each camera."""
    for thing in things:
        if isinstance(thing, KeepsCameras):
            thing.release(camera)


class ReleasingBody:
    """A body together with the function that releases what it keeps for a camera."""

    def __init__(self, run: Body, release: Callable[[str], None]) -> None:
        self._run, self.release = run, release

    def __call__(self, inbox: Any) -> Iterator[Any]:
        return self._run(inbox)


class Graph(Protocol):
    """The part of ``Pipeline`` that a worker needs."""

    ready: threading.Event
    """Set when every stage has opened what it needs and requested its first item, or has ended."""

    def worker_ready(self, worker: Worker) -> None: ...

    def worker_ended(self, worker: Worker) -> None: ...


def greedy_batches(inbox: Iterable[T], max_items: int, grace_s: float) -> Iterator[list[T]]:
    """Lists of 1..max_items: the waiting items, and those that come within ``grace_s`` of the first.

    Only the first body of a stage has a channel as its inbox. From any other iterable, items come one by one, because
    they are made on request and none are waiting.
    """
    if isinstance(inbox, _ChannelInbox | _TimedInbox):
        return inbox.batches(max_items, grace_s)
    return ([item] for item in inbox)


class Worker(threading.Thread):
    """Runs ``steps`` one after another, each feeding the next, and puts the results into every outbox."""

    def __init__(
        self,
        name: str,
        steps: Mapping[str, Body],
        inbox: Channel[Any] | threading.Event,
        graph: Graph,
        *,
        health: Callable[[], CameraHealth] | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.outboxes: list[Channel[Any]] = []
        self.error: Exception | None = None
        self.failed_at_ns = 0
        self.has_ended = False
        """True once the body has ended, and all that the worker took is counted."""
        self.counts = FrameCounts()
        self.health = health
        """Health of a source that is a live camera."""
        self._inbox, self._graph, self._is_ready = inbox, graph, False
        self._bodies = tuple(steps.values())
        self._steps = {step: _Step(step, body, self) for step, body in steps.items()}
        self._activity = "not started"
        self._age, self._ages, self._rate = Durations(), defaultdict[str, Durations](Durations), RateMeter()

    @property
    def step_names(self) -> list[str]:
        return list(self._steps)

    @property
    def is_source(self) -> bool:
        return not isinstance(self._inbox, Channel)

    def run(self) -> None:
        """Run to the end. Never raises: an exception is kept in ``error`` and reported to the graph."""
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

    def stop(self) -> None:
        """Ask a source to end; its frames in flight are still delivered. Other stages end when their inbox does."""
        if isinstance(self._inbox, threading.Event):
            self._inbox.set()

    def fold(self, camera: str, into: str) -> None:
        """Add the numbers of a camera that has gone to those of ``into``, and forget the camera."""
        self.counts.fold(camera, into)

    def release(self, camera: str) -> None:
        """Forget a camera that has gone, and have the bodies do so. Raises SinkError as ``KeepsCameras`` does."""
        self._ages.pop(camera, None)
        release_all(self._bodies, camera)

    def set_activity(self, activity: str) -> None:
        """Set the state that ``stats`` shows to people."""
        self._activity = activity

    def count_taken(self, item: Any) -> None:
        """Count the frames of ``item`` as come in."""
        self.counts.take(frame.camera for frame in frames_of(item))

    def count_dropped(self, item: Dropped) -> None:
        """Count frames that a step decided not to pass on."""
        if self.is_source:  # dropped frames do not reach ``_work``, which counts the others as captured
            self.counts.take(frame.camera for frame in item.frames)
        self.counts.drop((frame.camera for frame in item.frames), item.reason)

    def report_ready(self) -> None:
        """Report to the graph, once, that this stage has requested its first item, so that all it needs is open."""
        if not self._is_ready and not self.is_source:
            self._is_ready = True
            self._graph.worker_ready(self)

    def stats(self) -> StageStats:
        """A snapshot; any thread may take it at any time."""
        counted = self.counts.read()
        steps = {name: step.busy.summary() for name, step in self._steps.items()}
        ages = {camera: age.summary() for camera, age in self._ages.copy().items()}  # the worker adds cameras
        return StageStats(
            *(self.name, self._activity, steps, counted.taken, counted.passed, counted.dropped),
            *(self._age.summary(), ages, self._rate.fps),
        )

    def _work(self) -> None:
        feed: Any = _ChannelInbox(self._inbox, self) if isinstance(self._inbox, Channel) else self._inbox
        with ExitStack() as steps:  # closes the last step first; an error that a step raises while closing is kept
            for step in self._steps.values():
                feed = steps.enter_context(closing(step.run(feed)))
            if self.is_source:
                self.set_activity("waiting for the stages")
                # A network takes seconds to load; images captured meanwhile would be stale.
                self._graph.ready.wait()
            for item in feed:
                if self.is_source:
                    self.count_taken(item)
                self._pass_on(item)

    def _pass_on(self, item: Any) -> None:
        now = monotonic_ns()
        open_outboxes = 0
        for outbox in self.outboxes:
            self.set_activity(f"putting into {outbox.name}")
            try:
                outbox.put(item)
                open_outboxes += 1
            except ChannelClosed:
                log.debug("stage %r: the reader of %r has left", self.name, outbox.name)
        self._count_passed(item, now)
        if self.outboxes and not open_outboxes:  # one reader is enough to go on
            raise ChannelClosed(self.name)

    def _count_passed(self, item: Any, now_ns: int) -> None:
        frames = frames_of(item)
        self.counts.give(frame.camera for frame in frames)
        self._rate.tick(now_ns, len(frames))
        if not self.outboxes:  # a terminal stage: its output is published
            for frame in frames:
                age_ns = now_ns - frame.stamp.mono_ns
                self._age.add(age_ns)
                self._ages[frame.camera].add(age_ns)

    def _end(self, left_early: bool) -> None:
        aborted = isinstance(self._inbox, Channel) and self._inbox.aborted
        if self.error or left_early or aborted:
            self.counts.lose_rest("failed" if self.error else "stopped")  # the frames inside are lost
        self.set_activity(f"failed: {self.error}" if self.error else "done")
        # Writers above must not wait for this stage any more; readers below take what is left, then end.
        if isinstance(self._inbox, Channel):
            self._inbox.abort()
        for outbox in self.outboxes:
            outbox.close()
        self.report_ready()
        self.has_ended = True
        self._graph.worker_ended(self)


class _ChannelInbox:
    """The first step's inbox: the channel's items, counted as taken, one by one or in greedy batches."""

    def __init__(self, channel: Channel[Any], worker: Worker) -> None:
        self._channel, self._worker = channel, worker

    def __iter__(self) -> Iterator[Any]:
        return (item for (item,) in self._counted([item] for item in self._channel))

    def batches(self, max_items: int, grace_s: float) -> Iterator[list[Any]]:
        return self._counted(self._channel.batches(max_items, grace_s))

    def _counted(self, batches: Iterable[list[Any]]) -> Iterator[list[Any]]:
        self._worker.report_ready()
        self._worker.set_activity("waiting for input")
        for batch in batches:
            for item in batch:
                self._worker.count_taken(item)
            yield batch
            self._worker.set_activity("waiting for input")


class _TimedInbox:
    """A step's inbox; the time that the step spends between two items is its working time."""

    def __init__(self, feed: Any, step: _Step) -> None:
        self._feed, self._step = feed, step

    def __iter__(self) -> Iterator[Any]:
        return self._step.timed(self._feed)

    def batches(self, max_items: int, grace_s: float) -> Iterator[list[Any]]:
        return self._step.timed(greedy_batches(self._feed, max_items, grace_s))


class _Step:
    """One body of a worker; its working time excludes waiting for input and for the consumer of its output."""

    def __init__(self, name: str, body: Body, worker: Worker) -> None:
        self.name, self.busy = name, Durations()
        self._body, self._worker = body, worker
        self._since_ns = self._spent_ns = 0

    def run(self, feed: Any) -> Generator[Any, None, None]:
        inbox = feed if isinstance(feed, threading.Event) else _TimedInbox(feed, self)
        self._resume()
        results = self._body(inbox)
        try:
            for result in results:
                self._pause()
                # A source has no inbox, whose items would end the measurement.
                if isinstance(feed, threading.Event):
                    self._finish_item()
                if isinstance(result, Dropped):
                    self._worker.count_dropped(result)
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
        self._worker.set_activity(f"busy in {self.name}")
        self._since_ns = monotonic_ns()

    def _pause(self) -> None:
        self._spent_ns += monotonic_ns() - self._since_ns

    def _finish_item(self) -> None:
        self.busy.add(self._spent_ns)
        self._spent_ns = 0
