"""Network cameras: RTSP and any other live stream that FFmpeg reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Self

from stream.frames import NOT_DECODED, Dropped, Frame
from stream.settings import NetworkCamera
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.session import LiveSession
from stream.sources.network.url import CameraUrl


class NetworkSource:
    """One connection to a camera; it never reconnects by itself (``stream.sources.reconnect`` does).

    One thread reads and closes it; another may open it. Entering raises AccessDenied or SourceError. Images that were
    buffered while the connection was opened are left out, so the first frame is fresh. Frames are ``tainted`` from the
    moment of damage until the next key frame.
    """

    def __init__(self, settings: NetworkCamera) -> None:
        self._settings, self._url = settings, CameraUrl(settings.url)
        self._log = FfmpegLog(self._url.scrub)
        self._session: LiveSession | None = None

    def __enter__(self) -> Self:
        self._log.clear()
        self._session = LiveSession(self._settings, self._url, self._log)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def log_lines(self) -> tuple[str, ...]:
        """FFmpeg's last errors and warnings about this camera, at most ten, without passwords; kept after closing."""
        return self._log.last_lines

    @property
    def clock_fault(self) -> str:
        """Why ages do not come from the camera's clock: a few words after "its clock"; empty if they do."""
        return self._session.clock_fault if self._session is not None else ""

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        """Ends soon after ``stopping`` is set, and at the end of a file or a generated pattern.

        Images that were skipped because the reader was behind are Dropped as "behind"; they have no pixels.

        Raises SourceStalled when no image came for ``stall_s`` (before the first image: ``open_s``), and SourceError or
        AccessDenied when the connection breaks or the camera ends the stream.
        """
        assert self._session is not None, "frames() outside of the with block"
        for seq, (image, stamp, integrity) in enumerate(self._session.images(stopping)):
            frame = Frame(NOT_DECODED if image is None else image, self._settings.name, seq, stamp, integrity=integrity)
            yield Dropped((frame,), "behind") if image is None else frame

    def describe(self) -> str:
        session = self._session
        if session is None:
            return self._url.label
        facts = [str(session.size or ""), f"{session.fps:.3g} fps" if session.fps else "", session.codec]
        return f"{self._url.label}: {', '.join(fact for fact in facts if fact)}"
