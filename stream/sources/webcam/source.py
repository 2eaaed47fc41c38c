"""Webcams: a camera at this machine, by the system's own interface."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

from stream.core.clock import Deadline
from stream.frames import Frame, Size
from stream.settings import WebcamCamera
from stream.sources.webcam import errors as failures
from stream.sources.webcam.opencv_reader import Cv2Webcam
from stream.sources.webcam.pixel_formats import ffmpeg_name
from stream.sources.webcam.reader import Given, Taken, WebcamReader
from stream.sources.webcam.v4l2_reader import V4l2Webcam

log = logging.getLogger(__name__)

TICK_S = 0.2
"""How soon a reader that waits for an image hears that it shall stop."""
SAME_FPS = 0.01
"""30 and 29.97 are the same."""


OpenWebcam = Callable[[WebcamCamera], WebcamReader]


class WebcamSource:
    """One opening of a camera; read and closed by one thread, never tried again by itself; another may open it.

    Entering raises SourceError. What the settings leave open is the camera's own choice, except the pixel format, which
    is the one that serves the size and the rate best. What the camera gives otherwise than asked is warned of, once.
    """

    def __init__(self, settings: WebcamCamera, open_webcam: OpenWebcam | None = None) -> None:
        """``open_webcam``: the interface; unset: the one of this system."""
        self._settings = settings
        self._open = open_webcam or (V4l2Webcam if sys.platform == "linux" else Cv2Webcam)
        self._webcam: WebcamReader | None = None
        self._about = f"webcam {settings.device}"
        self._log_lines: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._webcam = webcam = self._open(self._settings)
        self._about = f"webcam {webcam.path}{f' ({webcam.name})' if webcam.name else ''}: {webcam.given}"
        if differs(self._settings, webcam.given):
            log.warning(
                "camera %s: asked for %s, it gives %s; depthstream devices lists what it can",
                self._settings.name,
                _asked(self._settings),
                webcam.given,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._webcam is not None:
            self._log_lines = self._webcam.log_lines
            self._webcam.close()
            self._webcam = None

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The last complaints of driver and decoder, at most ten; kept after the end."""
        return self._log_lines if self._webcam is None else self._webcam.log_lines

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """Ends soon after ``stopping`` is set; the first frame is fresh.

        Raises SourceStalled after ``stall_s`` without an image (before the first: ``open_s``), SourceError when the
        camera was unplugged or its driver gave up.
        """
        webcam, settings = self._webcam, self._settings
        assert webcam is not None, "frames() outside of the with block"
        webcam.skip_waiting()
        seq, limit = 0, (settings.open_s, "open_s")
        while (taken := self._next(webcam, stopping, *limit)) is not None:
            yield Frame(taken.image, settings.name, seq, taken.stamp, integrity=taken.integrity)
            seq, limit = seq + 1, (settings.stall_s, "stall_s")

    def describe(self) -> str:
        return self._about

    def _next(self, webcam: WebcamReader, stopping: threading.Event, limit_s: float, setting: str) -> Taken | None:
        """None when ``stopping`` is set."""
        deadline = Deadline.after(limit_s)
        while not stopping.is_set():
            if (taken := webcam.read(TICK_S)) is not None:
                return taken
            if deadline.passed:
                raise failures.stalled(webcam.path, limit_s, setting)
        return None


def differs(asked: WebcamCamera, given: Given) -> bool:
    """Whether the camera gives another size, rate or pixel format than was asked for, as far as it says."""
    other_size = asked.height and asked.width and Size(asked.height, asked.width) != given.size
    other_rate = asked.fps and given.fps and abs(given.fps / asked.fps - 1) > SAME_FPS
    other_format = asked.pixel_format and given.pixel_format and ffmpeg_name(asked.pixel_format) != given.pixel_format
    return bool(other_size or other_rate or other_format)


def _asked(settings: WebcamCamera) -> str:
    size = f"{settings.width}x{settings.height}" if settings.width else ""
    rate = f"{settings.fps:.3g} fps" if settings.fps else ""
    return ", ".join(fact for fact in (size, rate, settings.pixel_format or "") if fact)
