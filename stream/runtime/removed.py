"""The numbers of removed sources: of the last ones by name, of all older ones as a sum, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Protocol

from stream.runtime.counts import FrameCounts
from stream.runtime.meters import DurationSummary
from stream.runtime.stats import StageStats

KEPT = 16
"""Removed sources whose numbers are kept by name."""
OLDER = "(removed cameras)"
"""Stands for the older ones, as the name of a source and of a camera."""


class CountsFrames(Protocol):
    """A worker or a channel, which counts frames by camera."""

    def fold(self, camera: str, into: str) -> None: ...


class RemovedSources:
    """Their counters, the newest last. The pipeline's lock guards it."""

    def __init__(self) -> None:
        self._counts: dict[str, FrameCounts] = {}
        self._older = FrameCounts()

    def add(self, name: str, counts: FrameCounts) -> None:
        """Keep the counters of a source whose last frame has left the pipeline."""
        self._counts[name] = counts

    def take(self, name: str) -> FrameCounts | None:
        """Remove and return the counters of this source, for another one of its name to continue."""
        return self._counts.pop(name, None)

    def forget_old(self, places: Iterable[CountsFrames], present: Set[str]) -> None:
        """Keep ``KEPT`` sources by name; add the older ones to the sum, in ``places`` as well.

        ``present`` are the cameras of sources that are still there; they stay, whatever their source is called.
        """
        places = list(places)
        for name in list(self._counts)[:-KEPT]:
            counts = self._counts.pop(name)
            for camera in counts.cameras - present - {OLDER}:
                for place in (counts, *places):
                    place.fold(camera, OLDER)
            self._older.absorb(counts)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources, as in ``stages``."""
        return (*self._counts, *([OLDER] if self._older.cameras else []))

    @property
    def cameras(self) -> frozenset[str]:
        """The cameras of all removed sources."""
        return frozenset().union(self._older.cameras, *(counts.cameras for counts in self._counts.values()))

    def stages(self) -> Iterator[StageStats]:
        """Their numbers in the form that accounts are made from."""
        for name in self.names:
            counted = self._counts.get(name, self._older).read()
            yield StageStats(
                *(name, "removed", {}, counted.taken, counted.passed, counted.dropped),
                *(DurationSummary(), {}, 0.0),
            )
