"""The meeting point of a pipeline and its viewers: the newest view of each camera, for any number of viewers.

A stage writes on its own thread and never waits for a viewer; nothing is encoded before a viewer needs it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Literal, Self, TypeAlias

from stream.core.clock import NS_PER_S, NowNs
from stream.frames import View
from stream.web.live.probe import Probe, ProbeableDepth

PROBE_HISTORY = 8
"""Depth maps per camera that can still be probed: a viewer asks about an image that it drew a moment ago."""
RATE_WINDOW_S = 4.0
MAX_ARRIVALS = 512
"""Arrivals remembered for the frame rate: 4 s at 128 frames per second."""

ImageName: TypeAlias = Literal["image", "depth"]


@dataclass(frozen=True, slots=True)
class SharedView:
    """One view as all its viewers share it."""

    view: View
    number: int
    """Counts the camera's views from 1."""
    jpegs: dict[ImageName, bytes] = field(default_factory=dict, compare=False, repr=False)
    """The JPEGs encoded so far; ``stream.web.live.jpeg_encoder`` fills it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Frame rate and age of one camera's views over the last ``RATE_WINDOW_S`` seconds."""

    fps: float
    age_p50_ms: float | None
    """Median age since capture at the time of writing; None without views in the window."""
    age_p95_ms: float | None


class WebSink:
    """A Sink[View] that keeps the newest view of each camera; thread safe.

    ``cameras`` are listed before their first view, so that the page can show that they are missing.
    """

    def __init__(self, cameras: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._tracks = {camera: _Track() for camera in cameras}
        self._callbacks: set[Callable[[], None]] = set()
        self._counts = {"viewers": 0.0, "encodes": 0.0, "encode_seconds": 0.0, "frames_sent": 0.0, "bytes_sent": 0.0}
        self.stage = ""
        """Name of the writing stage, taken from its thread; empty before the first view."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Keep the last views: the server may outlive the pipeline."""

    def write(self, item: View) -> None:
        """Replace the camera's newest view and notify the viewers; takes microseconds however many there are."""
        with self._lock:
            self.stage = threading.current_thread().name
            self._track(item.depth_map.frame.camera).add(item)
            self._notify()

    @property
    def cameras(self) -> tuple[str, ...]:
        """The announced cameras in their order, then those that delivered without being announced."""
        with self._lock:
            return tuple(self._tracks)

    def announce(self, camera: str) -> None:
        """List a camera before its first view; viewers are told."""
        with self._lock:
            self._track(camera)
            self._notify()

    def remove(self, camera: str) -> None:
        """Forget a camera and its views; viewers are told. Call it when no view of the camera can come any more."""
        with self._lock:
            self._tracks.pop(camera, None)
            self._notify()

    def newest(self, camera: str) -> SharedView | None:
        """None before the camera's first view."""
        with self._lock:
            track = self._tracks.get(camera)
            return track.newest if track else None

    def depth_at(self, camera: str, seq: int | None, x: float, y: float) -> Probe | None:
        """The depth at ``x``, ``y`` (0..1 from the top left) of frame ``seq``, or of the newest frame for None.

        Returns None when the camera is unknown or its frame ``seq`` is not among the last 8.
        """
        depth = self.probeable(camera, seq)
        return depth.at(x, y) if depth else None

    def probeable(self, camera: str, seq: int | None) -> ProbeableDepth | None:
        """The depth that ``depth_at`` reads, for a viewer that keeps a frozen image longer."""
        with self._lock:
            track = self._tracks.get(camera)
            history = reversed(track.history) if track else iter(())
            return next((depth for depth in history if seq is None or depth.seq == seq), None)

    def rate(self, camera: str) -> Rate:
        """Frame rate and age over the last seconds, not over the whole run."""
        with self._lock:
            arrivals = self._tracks[camera].arrivals if camera in self._tracks else Arrivals()
            return Rate(arrivals.fps, arrivals.age_ms(0.5), arrivals.age_ms(0.95))

    @contextmanager
    def notifying(self, callback: Callable[[], None]) -> Iterator[None]:
        """Inside the block, call ``callback`` after each write on the writer's thread; it must not block."""
        with self._lock:
            self._callbacks.add(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.discard(callback)

    def count(self, name: str, amount: float = 1.0) -> None:
        """Add to one of ``counts``."""
        with self._lock:
            self._counts[name] += amount

    def counts(self) -> Mapping[str, float]:
        """viewers (now), encodes, encode_seconds, frames_sent, bytes_sent (since the start); includes Motion JPEG."""
        with self._lock:
            return dict(self._counts)

    @property
    def encodes(self) -> int:
        """Number of JPEGs encoded since the start."""
        return int(self.counts()["encodes"])

    def _notify(self) -> None:
        for notify in self._callbacks:  # under the lock, so that none is running once ``notifying`` has ended
            notify()

    def _track(self, camera: str) -> _Track:
        if camera not in self._tracks:
            self._tracks[camera] = _Track()
        return self._tracks[camera]


class _Track:
    """One camera's views. Guarded by the sink's lock."""

    def __init__(self) -> None:
        self.newest: SharedView | None = None
        self.history: deque[ProbeableDepth] = deque(maxlen=PROBE_HISTORY)
        self.arrivals = Arrivals()

    def add(self, view: View) -> None:
        self.newest = SharedView(view, self.newest.number + 1 if self.newest else 1)
        self.history.append(ProbeableDepth.of(view.depth_map))
        self.arrivals.add(view.depth_map.frame.stamp.mono_ns)


class Arrivals:
    """Arrival times and ages of one camera's views over the last seconds. Guarded by its owner's lock."""

    def __init__(self, now_ns: NowNs = monotonic_ns) -> None:
        self._now_ns = now_ns
        self._arrivals: deque[tuple[int, int]] = deque(maxlen=MAX_ARRIVALS)
        """Pairs of arrival time (monotonic) and age at arrival, ns."""

    def add(self, captured_ns: int) -> None:
        """Record the arrival, now, of a view that was captured at ``captured_ns`` (monotonic)."""
        now = self._now_ns()
        self._arrivals.append((now, now - captured_ns))

    @property
    def fps(self) -> float:
        """Arrivals per second in the window; 0 when they have stopped, or after a single one."""
        times = [at for at, _ in self._in_window()]
        span_ns = max(times[-1] - times[0], self._elapsed_ns(times)) if len(times) > 1 else 0
        return (len(times) - 1) * NS_PER_S / span_ns if span_ns else 0.0

    def age_ms(self, quantile: float) -> float | None:
        """A quantile (0.5: the median) of the ages in the window; None without arrivals."""
        ages = sorted(age for _, age in self._in_window())
        return ages[round(quantile * (len(ages) - 1))] / 1e6 if ages else None

    def _in_window(self) -> list[tuple[int, int]]:
        since = self._now_ns() - round(RATE_WINDOW_S * NS_PER_S)
        return [(at, age) for at, age in self._arrivals if at >= since]

    def _elapsed_ns(self, times: list[int]) -> int:
        """From the first arrival to now, less one usual gap, so that the rate falls as soon as views stop coming."""
        usual_gap = (times[-1] - times[0]) // (len(times) - 1)
        return self._now_ns() - times[0] - usual_gap
