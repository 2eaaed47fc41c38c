"""The stages of a pipeline and the channels between them; sources may come and go while it runs.

The pipeline's lock guards a graph that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stream.runtime.accounts import accounts
from stream.runtime.channel import Channel, Policy
from stream.runtime.removed import RemovedSources
from stream.runtime.stats import Account, EdgeStats, StageStats
from stream.runtime.worker import Worker

MAX_NAMED_STAGES = 2
"""Number of stages before a channel that its name spells out; more are only counted."""


class StageGraph:
    """Workers and channels by name, in the order in which they were added. ``owner`` is named in errors."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.workers: list[Worker] = []
        self._edges: dict[str, tuple[Channel[Any], tuple[str, ...]]] = {}
        self._entries: tuple[str, ...] = ()
        self.removed = RemovedSources()

    def add(self, worker: Worker) -> Worker:
        """Add a worker. Raises ValueError for a name in use."""
        if any(worker.name == other.name for other in self.workers):
            raise ValueError(f"pipeline {self._owner!r}: there are two stages called {worker.name!r}")
        # Sources before the first stage: see ``counted``.
        first = next((number for number, other in enumerate(self.workers) if not other.is_source), len(self.workers))
        self.workers.insert(first if worker.is_source and self._entries else len(self.workers), worker)
        return worker

    def connect(self, reader: str, after: Sequence[Worker], capacity: int, policy: Policy) -> Channel[Any]:
        """Add the channel into ``reader``. Raises ValueError if there is one."""
        names = tuple(worker.name for worker in after)
        if reader in self._edges:
            raise ValueError(f"pipeline {self._owner!r}: there are two stages called {reader!r}")
        label = f"{'+'.join(names) if len(names) <= MAX_NAMED_STAGES else f'{len(names)} sources'} > {reader}"
        channel: Channel[Any] = Channel(capacity, policy, name=label, producers=len(after))
        self._edges[reader] = (channel, names)
        for worker in after:
            worker.outboxes.append(channel)
        return channel

    def open_entries(self) -> None:
        """Keep the channels that only sources feed open when those end, for sources that come later."""
        sources = {worker.name for worker in self.sources}
        self._entries = tuple(reader for reader, (_, after) in self._edges.items() if sources.issuperset(after))
        for channel in self.entries:
            channel.name = f"sources > {channel.name.rpartition(' > ')[2]}"  # the sources' names change
            channel.open()

    def add_source(self, source: Worker) -> None:
        """Add a source that feeds every entry; it continues the counters of a removed one of its name."""
        self.add(source)
        source.counts = self.removed.take(source.name) or source.counts
        for channel in self.entries:
            channel.open()
            source.outboxes.append(channel)

    def remove_source(self, source: Worker) -> None:
        """Take a source out that has ended; the numbers of its cameras stay."""
        self.workers.remove(source)
        self.removed.add(source.name, source.counts)

    def forget_old_sources(self) -> None:
        """Keep memory bounded, however many sources come and go (see ``RemovedSources``)."""
        present = {camera for worker in self.sources for camera in worker.counts.cameras}
        self.removed.forget_old([*self.workers, *self.channels], present)

    @property
    def sources(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.is_source]

    @property
    def channels(self) -> list[Channel[Any]]:
        return [channel for channel, _ in self._edges.values()]

    @property
    def entries(self) -> list[Channel[Any]]:
        """After ``open_entries``, the channels that every source feeds; else empty."""
        return [self._edges[reader][0] for reader in self._entries]

    @property
    def outlets(self) -> list[str]:
        """Names of the channels whose reader is not a stage."""
        stages = {worker.name for worker in self.workers}
        return [reader for reader in self._edges if reader not in stages]

    def channel(self, reader: str) -> Channel[Any]:
        """The channel into ``reader``."""
        return self._edges[reader][0]

    def counted(self) -> tuple[tuple[StageStats, ...], tuple[EdgeStats, ...], Iterator[Account]]:
        """Snapshots of all stages and channels, and the accounts that follow from them."""
        # From the terminals up: a frame that moves on meanwhile then counts as in flight, never as a surplus.
        edges = {reader: self.channel(reader).stats() for reader in self.outlets}
        stages = []
        for worker in reversed(self.workers):
            stages.append(worker.stats())
            if worker.name in self._edges:
                edges[worker.name] = self.channel(worker.name).stats()
        stages.reverse()
        places = {stage.name: stage for stage in (*stages, *self.removed.stages())}
        return tuple(stages), tuple(edges[reader] for reader in self._edges), accounts(places, edges, self._feeders())

    def lines(self) -> list[str]:
        """The stages and their channels as lines of text, in order."""
        lines = []
        for worker in self.workers:
            channel, after = self._edges.get(worker.name, (None, ()))
            steps = " > ".join(worker.step_names)
            edge = f"  after {', '.join(after)} ({channel.policy}, capacity {channel.capacity})" if channel else ""
            lines.append(f"{worker.name}{f' [{steps}]' if steps != worker.name else ''}{edge}")
        return lines

    def _feeders(self) -> dict[str, Sequence[str]]:
        """The stages that feed each channel, by the channel's reader; with the removed sources."""
        names = [worker.name for worker in self.sources]
        feeding = [*names, *(name for name in self.removed.names if name not in names)]
        return {reader: feeding if reader in self._entries else after for reader, (_, after) in self._edges.items()}
