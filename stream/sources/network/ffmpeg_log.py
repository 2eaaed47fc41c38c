"""What FFmpeg says while we call it, told apart by camera.

FFmpeg has one log for the whole process. PyAV hands each line to the thread that caused it, so a camera hears its own
lines only where it calls FFmpeg inside ``heard()`` and decodes in that thread (``thread_count = 1``).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

KEPT_LINES = 10


class LogLine(NamedTuple):
    """One line."""

    level: int
    """FFmpeg's: 16 is an error, 24 a warning; lower is worse."""
    origin: str
    """The part of FFmpeg that speaks: ``rtsp``, ``h264``, ..."""
    text: str


class FfmpegLog:
    """The last lines of one camera, without passwords. To be used by one thread at a time; reading ``kept`` is free."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        """``scrub`` takes the secrets out of a line."""
        self._scrub = scrub
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def kept(self) -> tuple[str, ...]:
        """At most ten lines, the newest last; a line that repeats itself is kept once."""
        return tuple(self._kept)

    def forget(self) -> None:
        self._kept.clear()

    @contextmanager
    def heard(self) -> Iterator[list[LogLine]]:
        """Errors and warnings of this thread's FFmpeg calls inside ``with``; the list is filled at its end."""
        from av.logging import Capture

        _switch_on()
        lines: list[LogLine] = []
        with Capture(local=True) as captured:
            try:
                yield lines
            finally:
                lines.extend(LogLine(level, origin, self._scrub(text)) for level, origin, text in captured)
                self._keep(lines)

    def _keep(self, lines: list[LogLine]) -> None:
        for line in lines:
            text = f"{line.origin}: {line.text}" if line.origin else line.text
            if line.text and (not self._kept or self._kept[-1] != text):
                self._kept.append(text)


def _switch_on() -> None:
    """PyAV is silent unless told otherwise, and by default leaves out a line that equals another camera's last one."""
    import av.logging

    if av.logging.get_level() is None:
        # Whoever has not asked for FFmpeg's log shall not find its other lines on the terminal now.
        logger = logging.getLogger("libav")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
        av.logging.set_level(av.logging.WARNING)
    if av.logging.get_skip_repeated():
        av.logging.set_skip_repeated(False)
