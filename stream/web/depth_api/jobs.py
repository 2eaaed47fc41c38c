"""Deduplicated jobs: requests with the same key share one job; a limited number run, and a limited number wait.

Everything here happens on one event loop; the work itself may wait for threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueFull(Exception):
    """Raised when the running and waiting jobs have reached the limit."""


class Job(Generic[T]):
    """One piece of work and the number of requests that wait for its result."""

    def __init__(self) -> None:
        self.requests, self.is_running = 0, False
        self.task: asyncio.Task[T] | None = None


class SharedJobs(Generic[T]):
    """Runs up to ``running`` jobs at a time; up to ``waiting`` more wait in the order of their arrival."""

    def __init__(self, running: int, waiting: int) -> None:
        self._slots, self._max_jobs = asyncio.Semaphore(running), running + waiting
        self._jobs: dict[Hashable, Job[T]] = {}

    @property
    def running(self) -> int:
        """Number of jobs being worked on."""
        # Copies, here and below: the pipeline's table reads these counts on another thread.
        return sum(job.is_running for job in tuple(self._jobs.values()))

    @property
    def waiting(self) -> int:
        """Number of jobs waiting for a slot."""
        return sum(not job.is_running for job in tuple(self._jobs.values()))

    @property
    def pending_requests(self) -> int:
        """Number of requests that wait for any of the jobs."""
        return sum(job.requests for job in tuple(self._jobs.values()))

    def find(self, key: Hashable) -> Job[T] | None:
        """The running or waiting job with this key."""
        return self._jobs.get(key)

    def start(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> Job[T]:
        """Start a job under a key that has none. Raises QueueFull."""
        if len(self._jobs) >= self._max_jobs:
            raise QueueFull
        job = self._jobs[key] = Job[T]()
        job.task = asyncio.create_task(self._run(key, job, work))
        job.task.add_done_callback(_retrieve_exception)
        return job

    @contextmanager
    def joined(self, key: Hashable, job: Job[T]) -> Iterator[asyncio.Future[T]]:
        """Count one more request for ``job`` inside the block, and give its future result.

        Enter it without awaiting anything after ``find`` or ``start``, or the job may have gone. When all requests have
        left, a waiting job is cancelled and frees its place; a running one goes on to its end.
        """
        assert job.task is not None
        job.requests += 1
        try:
            yield job.task
        finally:
            job.requests -= 1
            if not job.requests and not job.is_running:
                # Removed here: a task that is cancelled before its first step never enters the ``try`` of ``_run``.
                job.task.cancel()
                self._remove(key, job)

    async def _run(self, key: Hashable, job: Job[T], work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._slots:
                job.is_running = True
                return await work()
        finally:
            self._remove(key, job)

    def _remove(self, key: Hashable, job: Job[T]) -> None:
        if self._jobs.get(key) is job:  # a cancelled job's key may already belong to a new one
            del self._jobs[key]


def _retrieve_exception(task: asyncio.Task[T]) -> None:
    """Mark the exception as retrieved: asyncio would log it when no request waits for the result any more."""
    if not task.cancelled():
        task.exception()
