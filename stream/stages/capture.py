"""Capture: a source becomes a stream of frames."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from stream.core.clock import NS_PER_S
from stream.frames import Dropped, Frame
from stream.runtime.worker import Body
from stream.settings import LiveCamera
from stream.sources.base import Source
from stream.sources.health import Health
from stream.sources.integrity import watch
from stream.sources.reconnect import Reconnecting, closing


def capture(source: Source) -> Body:
    """Open ``source`` and pass on its frames until it is over or ``stopping`` is set."""

    def body(stopping: threading.Event) -> Iterator[Frame]:
        with source:
            yield from source.frames(stopping)

    return body


def capture_live(source: Reconnecting, settings: LiveCamera, health: Health) -> Body:
    """The same of a camera that may come and go, kept to ``max_fps`` and its images watched over."""

    def body(stopping: threading.Event) -> Iterator[Frame | Dropped]:
        with source:
            yield from watch(limited(source.frames(stopping), settings.max_fps), settings.integrity, health)

    return body


def limited(frames: Iterator[Frame | Dropped], max_fps: float | None) -> Iterator[Frame | Dropped]:
    """At most ``max_fps`` on average by the frames' stamps, evenly spread; the others are Dropped as "rate"."""
    if max_fps is None:
        yield from frames
        return
    period_ns, due_ns = NS_PER_S / max_fps, 0.0
    with closing(frames) as items:
        for frame in items:
            if isinstance(frame, Dropped):
                yield frame
            elif frame.stamp.mono_ns < due_ns:
                yield Dropped((frame,), "rate")
            else:
                yield frame
                late_ns = frame.stamp.mono_ns - due_ns
                due_ns = (due_ns if late_ns < period_ns else frame.stamp.mono_ns) + period_ns
