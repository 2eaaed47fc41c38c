"""Capture: turn a source into a stream of frames."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from stream.core.clock import NS_PER_S
from stream.frames import Dropped, Frame
from stream.runtime.worker import Body
from stream.settings import LiveCamera
from stream.sources.base import Source, closing_frames
from stream.sources.health import Health
from stream.sources.integrity import check_integrity
from stream.sources.reconnect import Reconnecting


def capture(source: Source) -> Body:
    """Open ``source`` and yield its frames until it ends or ``stopping`` is set."""

    def body(stopping: threading.Event) -> Iterator[Frame]:
        with source:
            yield from source.frames(stopping)

    return body


def capture_live(source: Reconnecting, settings: LiveCamera, health: Health) -> Body:
    """Yield the frames of a camera that may disconnect, at most ``max_fps``, after the integrity checks."""

    def body(stopping: threading.Event) -> Iterator[Frame | Dropped]:
        with source:
            yield from check_integrity(limited(source.frames(stopping), settings.max_fps), settings.integrity, health)

    return body


def limited(frames: Iterator[Frame | Dropped], max_fps: float | None) -> Iterator[Frame | Dropped]:
    """Pass on at most ``max_fps`` by the frames' stamps, evenly spaced; the others become Dropped as "rate"."""
    if max_fps is None:
        yield from frames
        return
    period_ns, due_ns = NS_PER_S / max_fps, 0.0
    with closing_frames(frames) as items:
        for frame in items:
            if isinstance(frame, Dropped):
                yield frame
            elif frame.stamp.mono_ns < due_ns:
                yield Dropped((frame,), "rate")
            else:
                yield frame
                # The next due time counts from this one, not from the frame, so that jitter does not lower the rate;
                # after a gap of more than a period it counts from the frame, so that no burst follows.
                late_ns = frame.stamp.mono_ns - due_ns
                due_ns = (due_ns if late_ns < period_ns else frame.stamp.mono_ns) + period_ns
