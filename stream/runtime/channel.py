"""A bounded queue between two stages; its policy states what happens when it is full.

    block        the writer waits: nothing is lost (file pipelines)
    drop_oldest  the oldest item makes room: the reader gets fresh items (channels into sinks)
    drop_newest  the new item is dropped: the reader gets a run without gaps
    latest       one item per camera, replaced in place so that it keeps its turn: no camera starves another
                 (the channel into the model of a live pipeline)

Every item that is put in is either taken or dropped, and every drop is counted by camera and reason.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from typing import Generic, Literal, TypeAlias, TypeVar

from stream.core.clock import Deadline
from stream.frames import frames_of
from stream.runtime.counts import fold_drops, fold_frames
from stream.runtime.meters import WaitMeter
from stream.runtime.stats import DropKey, EdgeStats

T = TypeVar("T")
Policy: TypeAlias = Literal["block", "drop_oldest", "drop_newest", "latest"]
DropReason: TypeAlias = Literal["overflow", "superseded", "stopped"]


class ChannelClosed(Exception):
    """The other side has closed this channel."""


class Channel(Generic[T]):
    """Closable channel for any number of writing threads and one reading thread; iterate until closed and empty.

    Only one reader, because a second one could take the wake-up that the first one needs. Raises ValueError for
    capacity < 1.
    """

    def __init__(self, capacity: int, policy: Policy = "block", *, name: str = "channel", producers: int = 1) -> None:
        if capacity < 1:
            raise ValueError(f"channel {name!r}: capacity must be at least 1, got {capacity}")
        self.name, self.capacity, self.policy = name, capacity, policy
        self._items: deque[T] = deque()
        self.aborted = False
        self._producers = producers
        self._lock = threading.Lock()
        self._not_empty = threading.Condition(self._lock)
        self._not_full = threading.Condition(self._lock)
        self._peak = self._accepted = 0
        self._taken: Counter[str] = Counter()
        self._dropped: Counter[DropKey] = Counter()
        self._blocked, self._starved = WaitMeter(), WaitMeter()

    def put(self, item: T) -> None:
        """Add ``item``; wait or drop one item when there is no room (see ``policy``).

        Raises ChannelClosed (and counts ``item`` as dropped) when the channel no longer has a reader.
        """
        with self._lock:
            if self.policy == "block":
                self._wait_for_room()
            if self._producers <= 0:  # after the wait, which ``abort`` ends
                self._drop(item, "stopped")
                raise ChannelClosed(self.name)
            if self.policy == "latest":
                self._replace_or_append(item)
            elif len(self._items) < self.capacity:
                self._append(item)
            elif self.policy == "drop_oldest":
                self._drop(self._items.popleft(), "overflow")
                self._append(item)
            else:
                self._drop(item, "overflow")

    def get(self, timeout_s: float | None = None) -> T:
        """Take the oldest item. Raises ChannelClosed at the end, TimeoutError when none came in time."""
        with self._lock:
            self._wait_for_item(timeout_s)
            if self._items:  # before the check for closed: the reader gets what was queued
                return self._take(0)
            if self._producers <= 0:
                raise ChannelClosed(self.name)
            raise TimeoutError(f"channel {self.name!r}: nothing arrived in {timeout_s} s")

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                yield self.get()
            except ChannelClosed:
                return

    def batches(self, max_items: int, grace_s: float) -> Iterator[list[T]]:
        """Yield lists of 1..max_items: the waiting items, and those that come within ``grace_s`` of the first.

        With ``latest`` a list holds at most one item per camera; a second one of the same camera waits for the next
        list.
        """
        for first in self:
            # A short grace: waiting 40 ms for company made the images of a 10 ms network 34 ms old instead of 20.
            batch, deadline = [first], Deadline.after(grace_s)
            while len(batch) < max_items and (joined := self._take_joining(batch, deadline)):
                batch += joined
            yield batch

    def open(self) -> None:
        """Add one producer, who will ``close`` it. It stays closed after ``abort``: then nothing reads it any more."""
        with self._lock:
            if not self.aborted:
                self._producers += 1

    def close(self) -> None:
        """End one producer; after the last one the reader takes the remaining items and then stops."""
        with self._lock:
            self._producers -= 1
            if self._producers <= 0:
                self._wake_everyone()

    def abort(self) -> None:
        """Drop what is queued and wake everyone up; later items are refused."""
        with self._lock:
            while self._items:
                self._drop(self._items.popleft(), "stopped")
            self._producers, self.aborted = 0, True
            self._wake_everyone()

    def fold(self, camera: str, into: str) -> None:
        """Add the numbers of a camera that has gone to those of ``into``, and forget the camera."""
        with self._lock:
            fold_frames(self._taken, camera, into)
            fold_drops(self._dropped, camera, into)

    def stats(self) -> EdgeStats:
        """A snapshot of the counters."""
        with self._lock:
            return EdgeStats(
                self.name,
                self.policy,
                self.capacity,
                len(self._items),
                self._peak,
                self._accepted,
                dict(self._taken),
                dict(self._dropped),
                self._blocked.summary(),
                self._starved.summary(),
            )

    def _take_joining(self, batch: list[T], deadline: Deadline) -> list[T]:
        """The first waiting item that may join ``batch``; empty when none came before ``deadline``."""
        excluded = {_cameras(item) for item in batch} if self.policy == "latest" else set()

        def joining() -> list[int]:
            # One at a time: each item that joins excludes its camera's next one.
            return [index for index, item in enumerate(self._items) if _cameras(item) not in excluded][:1]

        with self._lock:
            self._not_empty.wait_for(lambda: joining() or self._producers <= 0, deadline.left_s)
            return [self._take(index) for index in joining()]

    def _take(self, index: int) -> T:
        item = self._items[index]
        del self._items[index]
        self._taken.update(frame.camera for frame in frames_of(item))
        self._not_full.notify()
        return item

    def _wait_for_room(self) -> None:
        if len(self._items) < self.capacity or self._producers <= 0:
            return self._blocked.no_wait()
        start = self._blocked.begin()
        try:
            self._not_full.wait_for(lambda: len(self._items) < self.capacity or self._producers <= 0)
        finally:
            self._blocked.end(start)

    def _wait_for_item(self, timeout_s: float | None) -> None:
        if self._items or self._producers <= 0:
            return self._starved.no_wait()
        start = self._starved.begin()
        try:
            self._not_empty.wait_for(lambda: self._items or self._producers <= 0, timeout_s)
        finally:
            self._starved.end(start)

    def _replace_or_append(self, item: T) -> None:
        # In place, not at the end: a fast camera that always moved to the end would never reach the front. Of four
        # equal cameras that gave 18.5, 0, 0 and 1.5 fps instead of 5 each.
        cameras = _cameras(item)
        for index, waiting in enumerate(self._items):
            if _cameras(waiting) == cameras:
                self._drop(waiting, "superseded")
                self._items[index] = item
                self._accepted += 1
                return
        self._append(item)  # whatever the capacity: there is at most one item per camera

    def _append(self, item: T) -> None:
        self._items.append(item)
        self._accepted += 1
        self._peak = max(self._peak, len(self._items))
        self._not_empty.notify()

    def _drop(self, item: T, reason: DropReason) -> None:
        self._dropped.update((frame.camera, reason) for frame in frames_of(item))

    def _wake_everyone(self) -> None:
        self._not_empty.notify_all()
        self._not_full.notify_all()


def _cameras(item: object) -> tuple[str, ...]:
    return tuple(frame.camera for frame in frames_of(item))
