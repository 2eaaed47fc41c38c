"""A webcam where there is no Video4Linux: OpenCV, which asks the system (Media Foundation, AVFoundation).

What it cannot do: wait with a time-out (a camera that hangs is left only when OpenCV gives up, some systems never do),
say why a camera does not open, or tell when an image was taken, so frames carry their time of arrival.
"""

from __future__ import annotations

from typing import cast

from stream.core.clock import Stamp
from stream.errors import SourceError
from stream.frames import Image, Size
from stream.settings import WebcamCamera
from stream.sources.webcam.devices import list_devices
from stream.sources.webcam.errors import REPLUG, cameras_here
from stream.sources.webcam.pixel_formats import NAMES, ffmpeg_name
from stream.sources.webcam.reader import Given, Taken
from stream.sources.webcam.v4l2_abi import fourcc, fourcc_code

_LETTERS = {name: letters for letters, name in reversed(NAMES.items())}


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
            there = cameras_here(list_devices())
            raise SourceError(
                f"webcam {device}: cannot be opened: absent, in use, or not permitted by the system; {there}"
            )
        self._ask(settings)
        self.given = self._given()

    def skip_waiting(self) -> None:
        """OpenCV does not tell which images waited."""

    def read(self, timeout_s: float) -> Taken | None:
        """The next image, however long it takes. Raises SourceError."""
        there, image = self._capture.read()
        if not there:
            raise SourceError(f"webcam {self.path}: gives no image any more; {REPLUG}")
        image.flags.writeable = False
        return Taken(cast(Image, image), Stamp.now(), "clean")

    def close(self) -> None:
        """For the reading thread only."""
        self._capture.release()

    def _ask(self, settings: WebcamCamera) -> None:
        import cv2

        if settings.pixel_format is not None:  # first: with another format, sizes and rates are others
            letters = _LETTERS.get(ffmpeg_name(settings.pixel_format), settings.pixel_format.upper())
            self._capture.set(cv2.CAP_PROP_FOURCC, fourcc_code(letters[:4]))
        if settings.width is not None and settings.height is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        if settings.fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, settings.fps)

    def _given(self) -> Given:
        import cv2

        get = self._capture.get
        size = Size(round(get(cv2.CAP_PROP_FRAME_HEIGHT)), round(get(cv2.CAP_PROP_FRAME_WIDTH)))
        letters = fourcc(max(0, round(get(cv2.CAP_PROP_FOURCC))))
        return Given(size, max(0.0, get(cv2.CAP_PROP_FPS)), NAMES.get(letters, ""))
