"""Helpers of the network cameras' tests: open a camera, and read until a condition holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np

from stream.frames import Frame, Image
from stream.settings import NetworkCamera
from stream.sources.network.source import NetworkSource
from tests.rigs.rtsp_camera import Clip, RtspCamera, read_number

STALL_S = 1.0
"""Seconds: short enough for a test, and far longer than a busy machine pauses."""


def network(url: str, **settings: object) -> NetworkSource:
    """A source, not opened yet."""
    kind = "rtsp" if url.lower().startswith(("rtsp://", "rtsps://")) else "url"
    return NetworkSource(NetworkCamera(source=kind, name="door", url=url, **{"stall_s": STALL_S, **settings}))


def images(source: NetworkSource, stopping: threading.Event) -> Iterator[Frame]:
    """The frames without those that a busy machine has skipped."""
    return (frame for frame in source.frames(stopping) if isinstance(frame, Frame))


def read(source: NetworkSource, count: int, act: Callable[[Frame], object] = lambda frame: None) -> list[Frame]:
    """Read ``count`` frames of an open source, call ``act`` with each, then stop."""
    frames: list[Frame] = []
    stopping = threading.Event()
    for frame in images(source, stopping):
        frames.append(frame)
        act(frame)
        if len(frames) == count:
            stopping.set()
    return frames


def read_until(source: NetworkSource, done: Callable[[Frame], bool]) -> list[Frame]:
    """Read up to the first frame for which ``done`` is true; fail after a thousand."""
    frames: list[Frame] = []
    stopping = threading.Event()
    for frame in images(source, stopping):
        frames.append(frame)
        if done(frame):
            stopping.set()
        assert len(frames) < 1000, "what the test waits for did not come"
    return frames


def number(frame: Frame) -> int:
    """The number of the clip's image that the frame shows."""
    shown = read_number(frame.image)
    assert shown is not None, "an image without a number"
    return shown


def undamaged(clip: Clip) -> dict[int, Image]:
    """Every image of the clip as it is decoded without loss, by number."""
    found: dict[int, Image] = {}

    def complete(frame: Frame) -> bool:
        assert frame.integrity == "clean"
        found[number(frame)] = frame.image
        return len(found) == len(clip)

    with RtspCamera({"/cam": clip}) as camera, network(camera.url("/cam")) as source:
        read_until(source, complete)
    return found


def same(a: Image, b: Image) -> bool:
    return bool(np.array_equal(a, b))
