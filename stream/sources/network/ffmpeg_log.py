"""FFmpeg's log lines, separated by camera.

FFmpeg has one log for the whole process. PyAV passes each line to the thread that caused it, so a camera gets its own
lines only if it calls FFmpeg inside ``capture()`` and decodes in that thread (``thread_count = 1``).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

KEPT_LINES = 10
"""Lines kept per camera."""
MOST_LINES = 200
"""Lines that are read of one call: a broken stream can cause thousands."""
AV_LOG_ERROR = 16
"""FFmpeg's level of an error; lower levels are worse."""


class LogLine(NamedTuple):
    """One line of FFmpeg's log."""

    level: int
    """FFmpeg's level: 16 is an error, 24 a warning; lower is worse."""
    origin: str
    """The part of FFmpeg that logged it: ``rtsp``, ``h264``, ..."""
    text: str


class FfmpegLog:
    """The last log lines of one camera, without passwords.

    It may be used by one thread at a time, except for ``last_lines``, which any thread may read.
    """

    def __init__(self, scrub: Callable[[str], str]) -> None:
        """``scrub`` removes the secrets from a line."""
        self._scrub = scrub
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def last_lines(self) -> tuple[str, ...]:
        """At most ten lines, the newest last; consecutive repeats are kept once."""
        return tuple(self._last_lines)

    def add(self, text: str) -> None:
        """Add a line of our own, such as lost data that FFmpeg never saw."""
        self._keep([LogLine(AV_LOG_ERROR, "", self._scrub(text))])

    def clear(self) -> None:
        self._last_lines.clear()

    @contextmanager
    def capture(self) -> Iterator[list[LogLine]]:
        """Errors and warnings of this thread's FFmpeg calls inside ``with``; the list is filled when the block ends."""
        from av.logging import Capture

        _enable_log()
        lines: list[LogLine] = []
        with Capture(local=True) as captured:
            try:
                yield lines
            finally:
                lines.extend(LogLine(level, origin, self._scrub(text)) for level, origin, text in captured[:MOST_LINES])
                if len(captured) > MOST_LINES:
                    lines.append(LogLine(AV_LOG_ERROR, "", f"{len(captured) - MOST_LINES} more lines were left out"))
                self._keep(lines)

    def _keep(self, lines: list[LogLine]) -> None:
        for line in lines:
            text = f"{line.origin}: {line.text}" if line.origin else line.text
            if line.text and (not self._last_lines or self._last_lines[-1] != text):
                self._last_lines.append(text)


def _enable_log() -> None:
    """Turn FFmpeg's log on: PyAV is silent by default, and skips a line that equals another camera's last one."""
    import av.logging

    if av.logging.get_level() is None:
        # A user who has not enabled FFmpeg's log must not find its other lines on the terminal now.
        logger = logging.getLogger("libav")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
        av.logging.set_level(av.logging.WARNING)  # lost RTP packets are only warnings
    if av.logging.get_skip_repeated():
        av.logging.set_skip_repeated(False)
