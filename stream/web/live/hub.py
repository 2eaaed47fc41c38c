"""Where a pipeline's views meet those who look: the newest of each camera, for any number of viewers.

A stage writes on its own thread and never waits; nothing is encoded before somebody asks.
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
from stream.web.live.probe import Probe, Readable

WINDOW_S = 4.0
MOST = 512
"""Images that are remembered: 4 s at 128 a second."""


class Recent:
    """Arrival times and ages of one camera's images. Guarded by its owner's lock."""

    def __init__(self, now_ns: NowNs = monotonic_ns) -> None:
        self._now_ns = now_ns
        self._seen: deque[tuple[int, int]] = deque(maxlen=MOST)

    def add(self, captured_ns: int) -> None:
        """An image that was captured at ``captured_ns`` (monotonic) arrives now."""
        now = self._now_ns()
        self._seen.append((now, now - captured_ns))

    @property
    def fps(self) -> float:
        """Arrivals a second in the window; 0 when they have stopped, or with one alone."""
        times = [at for at, _ in self._inside()]
        span_ns = max(times[-1] - times[0], self._silence_ns(times)) if len(times) > 1 else 0
        return (len(times) - 1) * NS_PER_S / span_ns if span_ns else 0.0

    def age_ms(self, share: float) -> float | None:
        """The age that ``share`` (0.5: half) of the window's images do not exceed; None when there were none."""
        ages = sorted(age for _, age in self._inside())
        return ages[round(share * (len(ages) - 1))] / 1e6 if ages else None

    def _inside(self) -> list[tuple[int, int]]:
        since = self._now_ns() - round(WINDOW_S * NS_PER_S)
        return [(at, age) for at, age in self._seen if at >= since]

    def _silence_ns(self, times: list[int]) -> int:
        """From the first arrival to now, less one usual gap: so that the rate falls as soon as images stay away."""
        usual_gap = (times[-1] - times[0]) // (len(times) - 1)
        return self._now_ns() - times[0] - usual_gap


KEPT = 8
"""Depth maps a camera that can still be probed; a viewer asks about an image that it saw a moment ago."""

ImageName: TypeAlias = Literal["image", "depth"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One view as all its viewers share it."""

    view: View
    number: int
    """Counts the camera's views from 1."""
    jpegs: dict[ImageName, bytes] = field(default_factory=dict, compare=False, repr=False)
    """What has been encoded already; ``stream.web.live.jpeg_encoder`` fills it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One camera's images of the last seconds."""

    fps: float
    age_p50_ms: float | None
    """Since capture, when they were written; None when there were none."""
    age_p95_ms: float | None


class WebSink:
    """A Sink[View]. ``cameras`` are known, and shown as missing, before their first view."""

    def __init__(self, cameras: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._tracks = {camera: _Track() for camera in cameras}
        self._rings: set[Callable[[], None]] = set()
        self._counts = {"viewers": 0.0, "encodes": 0.0, "encode_seconds": 0.0, "frames_sent": 0.0, "bytes_sent": 0.0}
        self.stage = ""
        """The stage that writes, by its thread's name; empty before the first view."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """The last views stay: the server may live longer than the pipeline."""

    def write(self, item: View) -> None:
        """Replace the camera's newest view and wake who waits for it; takes microseconds, whoever looks."""
        with self._lock:
            self.stage = threading.current_thread().name
            self._track(item.depth_map.frame.camera).add(item)
            for ring in self._rings:  # under the lock: after ``heard_by`` has ended none is on its way
                ring()

    @property
    def cameras(self) -> tuple[str, ...]:
        """Known ones first, in their order; then those that delivered unannounced."""
        with self._lock:
            return tuple(self._tracks)

    def newest(self, camera: str) -> Shown | None:
        """None before the camera's first view."""
        with self._lock:
            track = self._tracks.get(camera)
            return track.newest if track else None

    def depth_at(self, camera: str, seq: int | None, x: float, y: float) -> Probe | None:
        """The depth at ``x``, ``y`` (0..1 from the top left) of frame ``seq``; None: of the newest.

        None when the camera is unknown or its frame ``seq`` is not among the last 8.
        """
        readable = self.readable(camera, seq)
        return readable.at(x, y) if readable else None

    def readable(self, camera: str, seq: int | None) -> Readable | None:
        """What ``depth_at`` reads, for a viewer that holds an image for longer."""
        with self._lock:
            track = self._tracks.get(camera)
            kept = reversed(track.kept) if track else iter(())
            return next((readable for readable in kept if seq is None or readable.seq == seq), None)

    def rate(self, camera: str) -> Rate:
        """Of the last seconds, not of the whole run."""
        with self._lock:
            recent = self._tracks[camera].recent if camera in self._tracks else Recent()
            return Rate(recent.fps, recent.age_ms(0.5), recent.age_ms(0.95))

    @contextmanager
    def heard_by(self, ring: Callable[[], None]) -> Iterator[None]:
        """Call ``ring`` after each write, on the writer's thread, inside the block; it must not wait."""
        with self._lock:
            self._rings.add(ring)
        try:
            yield
        finally:
            with self._lock:
                self._rings.discard(ring)

    def count(self, what: str, amount: float = 1.0) -> None:
        """Add to one of ``counts``."""
        with self._lock:
            self._counts[what] += amount

    def counts(self) -> Mapping[str, float]:
        """viewers (now), encodes, encode_seconds, frames_sent, bytes_sent (since the start); of Motion JPEG, too."""
        with self._lock:
            return dict(self._counts)

    @property
    def encodes(self) -> int:
        """JPEGs encoded since the start."""
        return int(self.counts()["encodes"])

    def _track(self, camera: str) -> _Track:
        if camera not in self._tracks:
            self._tracks[camera] = _Track()
        return self._tracks[camera]


class _Track:
    """One camera's views. Guarded by the sink's lock."""

    def __init__(self) -> None:
        self.newest: Shown | None = None
        self.kept: deque[Readable] = deque(maxlen=KEPT)
        self.recent = Recent()

    def add(self, view: View) -> None:
        self.newest = Shown(view, self.newest.number + 1 if self.newest else 1)
        self.kept.append(Readable.of(view.depth_map))
        self.recent.add(view.depth_map.frame.stamp.mono_ns)
