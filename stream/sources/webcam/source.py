"""Webcams: cameras of this machine, read through Video4Linux or OpenCV."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

from stream.core.clock import NS_PER_S, Deadline, slept_ns
from stream.frames import NOT_DECODED, Dropped, Frame, Size
from stream.settings import WebcamCamera
from stream.sources.webcam import errors
from stream.sources.webcam.opencv_reader import Cv2Webcam
from stream.sources.webcam.pixel_formats import ffmpeg_name
from stream.sources.webcam.reader import CapturedImage, NegotiatedFormat, WebcamReader
from stream.sources.webcam.v4l2_reader import V4l2Webcam

log = logging.getLogger(__name__)

TICK_S = 0.2
"""How often a reader that waits for an image checks ``stopping``."""
SLEPT_S = 0.5
"""After a longer sleep of the machine, buffered images are too old."""
SAME_FPS = 0.01
"""Relative difference that counts as the same rate: 30 and 29.97 do."""

OpenWebcam = Callable[[WebcamCamera], WebcamReader]


class WebcamSource:
    """One connection to a webcam; it never reconnects by itself (``stream.sources.reconnect`` does).

    One thread reads and closes it; another may open it. Entering raises SourceError. The camera chooses whatever the
    settings leave open, except the pixel format: that is the one that suits the size and the rate best. If the camera
    delivers something else than requested, one warning is logged.
    """

    def __init__(self, settings: WebcamCamera, open_webcam: OpenWebcam | None = None) -> None:
        """``open_webcam``: opens the reader; None: the one for this system."""
        self._settings = settings
        self._open = open_webcam or (V4l2Webcam if sys.platform == "linux" else Cv2Webcam)
        self._webcam: WebcamReader | None = None
        self._about = f"webcam {settings.device}"
        self._log_lines: tuple[str, ...] = ()
        self._slept_ns = slept_ns()

    def __enter__(self) -> Self:
        self._webcam = webcam = self._open(self._settings)
        self._about = f"webcam {webcam.path}{f' ({webcam.name})' if webcam.name else ''}: {webcam.negotiated}"
        if differs(self._settings, webcam.negotiated):
            log.warning(
                "camera %s: asked for %s, it gives %s; depthstream devices lists what it can",
                self._settings.name,
                _request_text(self._settings),
                webcam.negotiated,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._webcam is not None:
            self._log_lines = self._webcam.log_lines
            self._webcam.close()
            self._webcam = None

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The last errors and warnings of driver and decoder, at most ten; kept after closing."""
        return self._log_lines if self._webcam is None else self._webcam.log_lines

    @property
    def clock_fault(self) -> str:
        """Always empty: the driver stamps images with this machine's clock."""
        return ""

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        """Frames until soon after ``stopping`` is set; the first one is fresh.

        Images that were left out because newer ones waited are Dropped as "behind"; they have no pixels.

        Raises SourceStalled after ``stall_s`` without an image (before the first: ``open_s``), SourceError when the
        camera was unplugged or its driver gave up.
        """
        webcam, settings = self._webcam, self._settings
        assert webcam is not None, "frames() outside of the with block"
        webcam.discard_buffered()
        seq, limit = 0, (settings.open_s, "open_s")
        while (captured := self._next(webcam, stopping, *limit)) is not None:
            image = NOT_DECODED if captured.image is None else captured.image
            frame = Frame(image, settings.name, seq, captured.stamp, integrity=captured.integrity)
            yield Dropped((frame,), "behind") if captured.image is None else frame
            seq, limit = seq + 1, (settings.stall_s, "stall_s")

    def describe(self) -> str:
        return self._about

    def _next(
        self, webcam: WebcamReader, stopping: threading.Event, limit_s: float, setting: str
    ) -> CapturedImage | None:
        """The next image; None when ``stopping`` is set."""
        deadline = Deadline.after(limit_s)
        while not stopping.is_set():
            captured = webcam.read(TICK_S)
            if slept_ns() - self._slept_ns > SLEPT_S * NS_PER_S:
                self._slept_ns = slept_ns()
                webcam.discard_buffered()  # older than the driver's clock says, by the time that the machine slept
                continue
            if captured is not None:
                return captured
            if deadline.passed:
                raise errors.stalled(webcam.path, limit_s, setting)
        return None


def differs(requested: WebcamCamera, negotiated: NegotiatedFormat) -> bool:
    """Whether size, rate or pixel format differ from those requested, as far as the camera reports them."""
    size = Size(requested.height, requested.width) if requested.height and requested.width else None
    name = ffmpeg_name(requested.pixel_format) if requested.pixel_format else ""
    other_size = size and size != negotiated.size
    other_rate = requested.fps and negotiated.fps and abs(negotiated.fps / requested.fps - 1) > SAME_FPS
    other_format = name and negotiated.pixel_format and name != negotiated.pixel_format
    return bool(other_size or other_rate or other_format)


def _request_text(settings: WebcamCamera) -> str:
    size = f"{settings.width}x{settings.height}" if settings.width else ""
    rate = f"{settings.fps:.3g} fps" if settings.fps else ""
    return ", ".join(fact for fact in (size, rate, settings.pixel_format or "") if fact)
