"""Video files as a camera: every frame in file order, at the file's own pace or as fast as they decode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Self

from stream.core.clock import Pacer, Stamp
from stream.core.log import redact
from stream.frames import Frame, Size
from stream.settings import VideoCamera
from stream.sources.container import DecodedFrame, VideoReader

ASSUMED_FPS = 25.0
"""Rate of files that state neither time stamps nor a rate; FFmpeg assumes the same for a raw H.264 stream."""


class VideoSource:
    """A video file as a camera; opened, read and closed in one thread (closing under a reader would crash FFmpeg).

    The display matrix of phone videos is honoured; frames may change their size midway. With ``loop`` the file starts
    again at its end; ``seq`` and ``stamp.media_s`` go on rising. A file that was cut off or damaged raises SourceError
    at its end, after every good frame; frames between a damaged packet and the next key frame are marked ``tainted``.
    """

    def __init__(self, settings: VideoCamera) -> None:
        self._settings = settings
        self._reader: VideoReader | None = None
        self.frame_count: int | None = None
        """Frames that the file declares for one pass; None if it declares none, or before it is opened."""
        self.fps: float | None = None
        """Frames per second that the file states; None if it states none, or before it is opened."""
        self.size: Size | None = None
        """Size of the first frame as displayed; None before the file is opened."""

    def __enter__(self) -> Self:
        self._reader = reader = VideoReader(self._settings.path)
        self.frame_count, self.fps, self.size = reader.frame_count, reader.fps, reader.size
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """Raises SourceError after the last good frame of a file that is cut off or damaged."""
        settings, pacer = self._settings, Pacer(stopping)
        time_line = _TimeLine(1.0 / (self.fps or ASSUMED_FPS))
        for seq, decoded in enumerate(self._decoded()):
            media_s = time_line.next_s(decoded.time_s)
            if stopping.is_set() or (settings.pace == "file" and not pacer.wait_until(media_s)):
                return
            stamp = Stamp.now("file", media_s)
            yield Frame(decoded.image, settings.name, seq, stamp, integrity=decoded.integrity)

    def describe(self) -> str:
        known = [str(self.size or ""), f"{self.fps:g} fps" if self.fps else ""]
        known.append(f"{self.frame_count} frames" if self.frame_count else "")
        facts = ", ".join(fact for fact in known if fact)
        return redact(f"video {self._settings.path}") + (f": {facts}" if facts else "")

    def _decoded(self) -> Iterator[DecodedFrame]:
        """The frames of one pass, or of endless passes with ``loop``."""
        while True:
            assert self._reader is not None, "frames() outside of the with block"
            yield from self._reader.frames()
            if not self._settings.loop:
                return
            self._reader.close()
            self._reader = VideoReader(self._settings.path)


class _TimeLine:
    """Seconds since the first frame, always rising.

    A missing time stamp continues at the frame rate; a jump back (a loop, an edit) is closed to one frame period.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_s = -period_s
        self._shift_s: float | None = None

    def next_s(self, time_s: float | None) -> float:
        """The place of the next frame; ``time_s`` is its time in the file, None if it has none."""
        following_s = self._last_s + self._period_s
        if time_s is None:
            self._last_s = following_s
            return following_s
        if self._shift_s is None:
            self._shift_s = following_s - time_s
        if time_s + self._shift_s <= self._last_s:
            self._shift_s = following_s - time_s
        self._last_s = time_s + self._shift_s
        return self._last_s
