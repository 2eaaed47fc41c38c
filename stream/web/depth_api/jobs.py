"""Work that is shared by those who ask for the same: some of it at a time, some of it waiting, no more.

Everything here happens on one event loop; the work itself may wait for threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Full(Exception):
    """As many jobs run and wait as may."""


class Job(Generic[T]):
    """What somebody asked for, and others since."""

    def __init__(self) -> None:
        self.askers, self.runs = 0, False
        self.task: asyncio.Task[T] | None = None


class SharedJobs(Generic[T]):
    """``running`` jobs at a time and ``waiting`` behind them, in the order in which they came."""

    def __init__(self, running: int, waiting: int) -> None:
        self._places, self._most = asyncio.Semaphore(running), running + waiting
        self._jobs: dict[Hashable, Job[T]] = {}

    @property
    def running(self) -> int:
        return sum(job.runs for job in tuple(self._jobs.values()))

    @property
    def waiting(self) -> int:
        return sum(not job.runs for job in tuple(self._jobs.values()))

    @property
    def askers(self) -> int:
        """Who waits for all of them."""
        return sum(job.askers for job in tuple(self._jobs.values()))

    def find(self, key: Hashable) -> Job[T] | None:
        """The job of that key that is under way."""
        return self._jobs.get(key)

    def start(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> Job[T]:
        """A job of a key that has none under way. Raises Full."""
        if len(self._jobs) >= self._most:
            raise Full
        job = self._jobs[key] = Job[T]()
        job.task = asyncio.create_task(self._run(key, job, work))
        job.task.add_done_callback(_heed)
        return job

    @contextmanager
    def asking(self, key: Hashable, job: Job[T]) -> Iterator[asyncio.Future[T]]:
        """What the job will come to, for somebody who waits for it; entered without any wait after ``find``, ``start``.

        When all who asked have left, a waiting job gives its place up; one that runs goes on to its end.
        """
        assert job.task is not None
        job.askers += 1
        try:
            yield job.task
        finally:
            job.askers -= 1
            if not job.askers and not job.runs:
                job.task.cancel()
                self._leave(key, job)

    async def _run(self, key: Hashable, job: Job[T], work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._places:
                job.runs = True
                return await work()
        finally:
            self._leave(key, job)

    def _leave(self, key: Hashable, job: Job[T]) -> None:
        if self._jobs.get(key) is job:
            del self._jobs[key]


def _heed(task: asyncio.Task[T]) -> None:
    """An error that nobody waits for any more is nobody's: asyncio would log it otherwise."""
    if not task.cancelled():
        task.exception()
