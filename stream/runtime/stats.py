"""Frozen snapshots of a pipeline: what happened to every frame, and where the time went.

The law of accounting: at every terminal of a pipeline, for every camera,

    captured = published + sum(dropped by channel or stage, and reason) + in flight

and ``in flight`` is zero once the pipeline has ended. A stage that loses a frame without reporting it breaks the
equation visibly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stream.runtime.meters import DurationSummary

CameraState = Literal["connecting", "live", "waiting", "refused", "over"]
"""waiting: until the next try. refused: the password is wrong, and the next try is far away."""
CameraGrade = Literal["unknown", "good", "fair", "poor"]

DropKey = tuple[str, str]
"""(camera, reason)."""


@dataclass(frozen=True, slots=True)
class EdgeStats:
    """One channel between stages."""

    name: str
    """The stages that it joins, such as "capture > depth"."""
    policy: str
    """Behaviour when full; see ``stream.runtime.channel``."""
    capacity: int
    """Number of items that fit."""
    waiting: int
    """Number of items in it now."""
    peak: int
    """Largest number of items in it so far."""
    accepted: int
    """Number of items that were put in."""
    taken: Mapping[str, int]
    """Frames that its reader took, by camera."""
    dropped: Mapping[DropKey, int]
    """Frames that it dropped."""
    blocked: DurationSummary
    """Time that writers waited because it was full."""
    starved: DurationSummary
    """Time that its reader waited because it was empty."""


@dataclass(frozen=True, slots=True)
class StageStats:
    """One worker: its steps, and the frames that went in and out."""

    name: str
    state: str
    """Current activity, for people: "busy in infer", "waiting for input", "done", "failed: ..."."""
    steps: Mapping[str, DurationSummary]
    """Working time of each step for one item, without waiting."""
    taken: Mapping[str, int]
    """Frames that came in, by camera (for a source: captured)."""
    passed: Mapping[str, int]
    """Frames that went on, by camera (for a terminal stage: published)."""
    dropped: Mapping[DropKey, int]
    """Frames that its steps dropped."""
    age: DurationSummary
    """Time from capture to publication; terminal stages only."""
    age_by_camera: Mapping[str, DurationSummary]
    """The same for each camera."""
    fps: float
    """Frames that went on, per second between the first and the last one."""


@dataclass(frozen=True, slots=True)
class Account:
    """Outcome of one camera's frames on the way to one terminal."""

    terminal: str
    """The stage or channel where frames leave the pipeline."""
    camera: str
    captured: int
    published: int
    dropped: Mapping[str, int]
    """Number of frames by reason and place, such as "superseded (capture > depth)"."""
    is_removed: bool = False
    """True for a camera that was removed while the pipeline ran."""

    @property
    def in_flight(self) -> int:
        """Frames captured, and neither published nor dropped."""
        return self.captured - self.published - sum(self.dropped.values())

    def __str__(self) -> str:
        reasons = [f"{count} {where}" for where, count in self.dropped.items()]
        parts = [f"{self.published} published", *reasons, *([f"{self.in_flight} in flight"] if self.in_flight else [])]
        name = f"{self.camera} (removed)" if self.is_removed else self.camera
        return f"{name}: {self.captured} captured = {' + '.join(parts)}"


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """Connection and image quality of a live camera; no text in it holds a password."""

    name: str
    state: CameraState
    since_s: float
    """Time in this state, seconds."""
    grade: CameraGrade
    """Summary of the last hour; unknown in the first seconds."""
    reconnects: int
    """Number in the last hour."""
    stalls: int
    """Number in the last hour."""
    integrity: Mapping[str, int] = field(default_factory=dict)
    """Number of images received, by integrity: clean, tainted, frozen, black."""
    trouble: str = ""
    """Why the connection ended last; empty while all is well."""
    log: tuple[str, ...] = ()
    """The decoder's last lines before the connection ended."""
    about: str = ""
    """The camera's address or device, with the size and rate that it reports."""
    clock: str = ""
    """What is wrong with the camera's own clock, so that ages count from the arrival; empty while nothing is."""
    offline_s: float = 0.0
    """Time without images, seconds, over all tries since the last one; 0 while the camera is live."""


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """A snapshot of a whole pipeline."""

    name: str
    running_s: float
    """Time since the start, or from start to end, seconds."""
    stages: tuple[StageStats, ...]
    edges: tuple[EdgeStats, ...]
    accounts: tuple[Account, ...] = ()
    statistics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Numbers that the recipe adds, by heading; for example the error of depth against ground truth."""
    cameras: tuple[CameraHealth, ...] = ()
    """Live cameras; files and rendered scenes have no health."""
    notes: tuple[str, ...] = ()
    """Facts needed to judge the numbers: the network that ran, its weights, and the engine."""

    @property
    def unaccounted(self) -> int:
        """Frames in flight. After the end of the pipeline, anything but 0 is a bug."""
        return sum(account.in_flight for account in self.accounts)
