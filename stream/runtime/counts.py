"""The frames that came into a stage, went on and were dropped in it, by camera; thread safe.

One worker counts; any thread reads. A source that replaces another one of its name continues its counts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stream.runtime.stats import DropKey


@dataclass(frozen=True, slots=True)
class Counted:
    """A snapshot: numbers of frames by camera, and of dropped ones by camera and reason."""

    taken: dict[str, int]
    passed: dict[str, int]
    dropped: dict[DropKey, int]


class FrameCounts:
    """Counters that always agree with each other: ``read`` never shows a frame passed that it does not show taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._dropped: Counter[DropKey] = Counter()

    def take(self, cameras: Iterable[str]) -> None:
        """Count frames that came in: one for each name."""
        with self._lock:
            self._taken.update(cameras)

    def give(self, cameras: Iterable[str]) -> None:
        """Count frames that went on: one for each name."""
        with self._lock:
            self._passed.update(cameras)

    def drop(self, cameras: Iterable[str], reason: str) -> None:
        """Count frames that were dropped: one for each name."""
        with self._lock:
            self._dropped.update((camera, reason) for camera in cameras)

    def lose_rest(self, reason: str) -> None:
        """Count every frame that is still inside as dropped: the stage has ended without passing it on."""
        with self._lock:
            for camera in self._taken:
                if inside := self._inside(camera):
                    self._dropped[camera, reason] += inside

    def read(self) -> Counted:
        """All numbers at one moment."""
        with self._lock:
            return Counted(dict(self._taken), dict(self._passed), dict(self._dropped))

    @property
    def cameras(self) -> frozenset[str]:
        """The cameras whose frames came in."""
        with self._lock:
            return frozenset(self._taken)

    def is_inside(self, camera: str) -> bool:
        """True while a frame of this camera has come in, and has neither gone on nor been dropped."""
        with self._lock:
            return self._inside(camera) > 0

    def fold(self, camera: str, into: str) -> None:
        """Add the camera's numbers to those of ``into`` and forget the camera; none of its frames may be inside."""
        with self._lock:
            fold_frames(self._taken, camera, into)
            fold_frames(self._passed, camera, into)
            fold_drops(self._dropped, camera, into)

    def absorb(self, other: FrameCounts) -> None:
        """Add the numbers of ``other``, which counts no longer."""
        counted = other.read()
        with self._lock:
            self._taken.update(counted.taken)
            self._passed.update(counted.passed)
            self._dropped.update(counted.dropped)

    def _inside(self, camera: str) -> int:
        lost = sum(count for (owner, _), count in self._dropped.items() if owner == camera)
        return max(0, self._taken[camera] - self._passed[camera] - lost)


def fold_frames(frames: Counter[str], camera: str, into: str) -> None:
    """Add the camera's number to that of ``into`` and forget the camera."""
    if count := frames.pop(camera, 0):
        frames[into] += count


def fold_drops(dropped: Counter[DropKey], camera: str, into: str) -> None:
    """The same for numbers by camera and reason."""
    for owner, reason in [key for key in dropped if key[0] == camera]:
        dropped[into, reason] += dropped.pop((owner, reason))
