"""Reads a webcam with OpenCV on systems without Video4Linux (Media Foundation, AVFoundation).

OpenCV cannot wait with a time-out (a camera that hangs is noticed only when OpenCV gives up, on some systems never),
cannot report why a camera does not open, and gives no time of capture, so frames carry their time of arrival.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import cast

from stream.core.clock import NS_PER_S, Stamp
from stream.errors import SourceError
from stream.frames import Image, Size
from stream.settings import WebcamCamera
from stream.sources.webcam.devices import list_devices
from stream.sources.webcam.errors import REPLUG, available_cameras
from stream.sources.webcam.pixel_formats import NAMES, ffmpeg_name
from stream.sources.webcam.reader import CapturedImage, NegotiatedFormat
from stream.sources.webcam.v4l2_abi import fourcc, fourcc_code

# Reversed, so that of several FourCCs with one name the first one stays: MJPG, not JPEG.
_FOURCCS = {name: letters for letters, name in reversed(NAMES.items())}

PAUSE_S = 0.3
"""A longer time between two reads: the process was stopped, or its images were not wanted."""
MOST_BUFFERED = 10
AT_ONCE_S = 0.005


class Cv2Webcam:
    """An open camera, for one thread at a time. Raises SourceError on opening."""

    log_lines: tuple[str, ...] = ()

    def __init__(self, settings: WebcamCamera) -> None:
        import cv2

        self.path, self.name = settings.device, ""
        device = settings.device
        self._capture = cv2.VideoCapture(int(device) if device.isdigit() else device)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"webcam {device}: cannot be opened: absent, in use, or not permitted by the system; "
                f"{available_cameras(list_devices())}"
            )
        self._request(settings)
        self.negotiated = self._negotiated()
        self._read_ns = 0

    def discard_buffered(self) -> None:
        """Do nothing: OpenCV does not report which images are buffered."""

    def _skip_stale(self) -> None:
        """After a pause, drop what the system has buffered: an image that needs no waiting is an old one."""
        paused_s = (monotonic_ns() - self._read_ns) / NS_PER_S if self._read_ns else 0.0
        for _ in range(MOST_BUFFERED if paused_s > PAUSE_S else 0):
            started_ns = monotonic_ns()
            if not self._capture.grab() or monotonic_ns() - started_ns > AT_ONCE_S * NS_PER_S:
                return

    def read(self, timeout_s: float) -> CapturedImage | None:
        """The next image, however long it takes: OpenCV has no time-out. Raises SourceError."""
        self._skip_stale()
        ok, image = self._capture.read()
        self._read_ns = monotonic_ns()
        if not ok:
            raise SourceError(f"webcam {self.path}: gives no image any more; {REPLUG}")
        image.flags.writeable = False
        return CapturedImage(cast(Image, image), Stamp.now(), "clean")

    def close(self) -> None:
        """Call it from the reading thread only."""
        self._capture.release()

    def _request(self, settings: WebcamCamera) -> None:
        import cv2

        if settings.pixel_format is not None:  # first, because the sizes and rates depend on it
            letters = _FOURCCS.get(ffmpeg_name(settings.pixel_format), settings.pixel_format.upper())
            self._capture.set(cv2.CAP_PROP_FOURCC, fourcc_code(letters[:4]))
        if settings.width is not None and settings.height is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        if settings.fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, settings.fps)

    def _negotiated(self) -> NegotiatedFormat:
        import cv2

        get = self._capture.get
        size = Size(round(get(cv2.CAP_PROP_FRAME_HEIGHT)), round(get(cv2.CAP_PROP_FRAME_WIDTH)))
        letters = fourcc(max(0, round(get(cv2.CAP_PROP_FOURCC))))
        return NegotiatedFormat(size, max(0.0, get(cv2.CAP_PROP_FPS)), NAMES.get(letters, ""))
