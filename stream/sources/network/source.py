"""Network cameras: RTSP, and any other live stream that FFmpeg reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Self

from stream.frames import Frame
from stream.settings import NetworkCamera
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.session import LiveReading
from stream.sources.network.url import CameraUrl


class NetworkSource:
    """One connection to a camera; read and closed by one thread, never tried again by itself; another may open it.

    Entering raises AccessDenied or SourceError. Images that lay in buffers while the connection was opened are not
    shown: the first frame is fresh. A frame is ``tainted`` from the moment of damage until the next key frame.
    """

    def __init__(self, settings: NetworkCamera) -> None:
        self._settings, self._url = settings, CameraUrl(settings.url)
        self._log = FfmpegLog(self._url.scrub)
        self._reading: LiveReading | None = None

    def __enter__(self) -> Self:
        self._log.forget()
        self._reading = LiveReading(self._settings, self._url, self._log)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    @property
    def log_lines(self) -> tuple[str, ...]:
        """FFmpeg's last errors and warnings about this camera, at most ten, without passwords; kept after the end."""
        return self._log.kept

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """Ends within ``stall_s`` after ``stopping`` is set, and at the end of what has one: a file, a pattern.

        Raises SourceStalled when no image could be had for ``stall_s`` (of the first: ``open_s``), and SourceError,
        or AccessDenied, when the connection breaks or the camera ends the stream.
        """
        assert self._reading is not None, "frames() outside of the with block"
        for seq, (image, stamp, integrity) in enumerate(self._reading.images(stopping)):
            yield Frame(image, self._settings.name, seq, stamp, integrity=integrity)

    def describe(self) -> str:
        reading = self._reading
        if reading is None:
            return self._url.label
        facts = [str(reading.size or ""), f"{reading.fps:.3g} fps" if reading.fps else "", reading.codec]
        return f"{self._url.label}: {', '.join(fact for fact in facts if fact)}"
