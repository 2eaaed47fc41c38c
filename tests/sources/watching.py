"""What the tests of network cameras share: opening one, and reading from it until something holds."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from stream.frames import Frame, Image
from stream.settings import NetworkCamera
from stream.sources.network.source import NetworkSource
from tests.rigs.rtsp_camera import Clip, RtspCamera, read_number

STALL_S = 1.0
"""Short enough for a test, and far longer than this machine ever stands still."""


def network(url: str, **settings: object) -> NetworkSource:
    """A source that is not open yet."""
    kind = "rtsp" if url.lower().startswith(("rtsp://", "rtsps://")) else "url"
    return NetworkSource(NetworkCamera(source=kind, name="door", url=url, **{"stall_s": STALL_S, **settings}))


def read(source: NetworkSource, count: int, act: Callable[[Frame], object] = lambda frame: None) -> list[Frame]:
    """``count`` frames of an open source, ``act`` called with each, then stopped."""
    frames: list[Frame] = []
    stopping = threading.Event()
    for frame in source.frames(stopping):
        frames.append(frame)
        act(frame)
        if len(frames) == count:
            stopping.set()
    return frames


def read_until(source: NetworkSource, done: Callable[[Frame], bool]) -> list[Frame]:
    """The frames of an open source up to the one with which ``done`` is true; fails after a thousand."""
    frames: list[Frame] = []
    stopping = threading.Event()
    for frame in source.frames(stopping):
        frames.append(frame)
        if done(frame):
            stopping.set()
        assert len(frames) < 1000, "what the test waits for did not come"
    return frames


def number(frame: Frame) -> int:
    """Which image of the clip it shows."""
    shown = read_number(frame.image)
    assert shown is not None, "an image without a number"
    return shown


def undamaged(clip: Clip) -> dict[int, Image]:
    """Every image of the clip as it looks when nothing is lost."""
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
