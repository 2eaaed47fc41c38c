"""Helpers of the checks in webcam_guest.py: open the camera, read it, break it, and record the end."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from time import monotonic
from typing import Any

from stream.core.clock import NS_PER_S
from stream.errors import SourceError
from stream.frames import Dropped, Frame
from stream.settings import WebcamCamera
from stream.sources.webcam.source import OpenWebcam, WebcamSource

DEVICE = "/dev/video0"
BREAK_AT = 4
"""The camera is broken after the frame of this number."""
Facts = dict[str, Any]


def camera(reader: OpenWebcam | None = None, **values: Any) -> WebcamSource:
    """A source with long time-outs, because everything is slow in the guest."""
    return WebcamSource(
        WebcamCamera(source="webcam", name="rig", **{"device": "0", "stall_s": 10, "open_s": 20, **values}), reader
    )


def control(name: str, value: int = 1) -> None:
    """Set one of the driver's test controls."""
    subprocess.run(["v4l2-ctl", "-d", DEVICE, "-c", f"{name}={value}"], check=True, timeout=60)


@contextmanager
def losing(percent: int) -> Iterator[None]:
    """Let the driver drop this percentage of its images; at 100 it hangs."""
    control("percentage_of_dropped_buffers", percent)
    try:
        yield
    finally:
        control("percentage_of_dropped_buffers", 0)


def read(source: WebcamSource, count: int, act: Callable[[Frame], object] = lambda frame: None) -> list[Frame]:
    """At most ``count`` frames of an open source, ``act`` called with each as it comes."""
    frames: list[Frame] = []
    stopping = threading.Event()
    for frame in source.frames(stopping):
        if isinstance(frame, Dropped):
            continue
        frames.append(frame)
        act(frame)
        if len(frames) == count:
            stopping.set()
    return frames


def steps_s(frames: list[Frame]) -> list[float]:
    """The intervals between the camera's images by their stamps, seconds; the guest is too slow to show them all."""
    return [(b.stamp.mono_ns - a.stamp.mono_ns) / NS_PER_S / (b.seq - a.seq) for a, b in pairwise(frames)]


def works() -> int:
    """Open the camera again and count its frames: five if it works."""
    with camera() as source:
        return len(read(source, 5))


def refused(source: WebcamSource) -> str:
    """The error of opening the camera; empty if it opens."""
    try:
        with source:
            return ""
    except SourceError as error:
        return f"{type(error).__name__}: {error}"


def broken(source: WebcamSource, act: Callable[[], object]) -> Facts:
    """Read, call ``act`` after the fifth frame, and record how and when reading ends."""
    done_at: list[float] = []

    def act_once(frame: Frame) -> None:
        if frame.seq == BREAK_AT:
            act()
            done_at.append(monotonic())

    try:
        with source:
            read(source, 200, act_once)
        text = ""
    except SourceError as error:
        text = f"{type(error).__name__}: {error}"
    return {"error": text, "after_s": monotonic() - done_at[0], "log": source.log_lines}


@contextmanager
def warnings() -> Iterator[list[str]]:
    """The warnings in our log."""
    lines: list[str] = []
    handler = _Lines(lines)
    logger = logging.getLogger("stream")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
