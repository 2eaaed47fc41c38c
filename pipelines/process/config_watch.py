"""Notice that a config file has another content: whether an editor wrote it, replaced it, or a link leads elsewhere."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from stream.core.clock import NS_PER_S, Deadline

POLL_S = 1.0
"""Interval between two looks at the file."""
FRESH_NS = 3 * NS_PER_S
"""A file that was written less than this ago is read again: a second write in the same tick of the file system's clock
changes neither time nor size."""

Mark: TypeAlias = tuple[int, int, int, int] | None
"""Device, inode, size and time of the last write; None while there is no file. Of the file behind all links: Kubernetes
mounts a ConfigMap as a link to a link, and replaces the second one."""


class ConfigWatch:
    """``changed`` is polled; a change counts once two looks have found the file as it is, so that none is half-written.

    The content decides, not the time: touching a file changes nothing.
    """

    def __init__(self, path: Path, *, poll_s: float = POLL_S, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._path, self._poll_s, self._wall_ns = path, poll_s, wall_ns
        self._due = Deadline.after(poll_s)
        self._mark = self._read_mark = self._look()
        self._digest = self._read()

    def changed(self) -> bool:
        """True once for each new content; a file that is gone is a content, too. Looks at most every ``poll_s``."""
        if not self._due.passed:
            return False
        self._due = Deadline.after(self._poll_s)
        before, self._mark = self._mark, self._look()
        if self._mark != before:  # it may still be being written
            return False
        if self._mark == self._read_mark and not self._is_fresh():
            return False
        known, self._digest, self._read_mark = self._digest, self._read(), self._mark
        return self._digest != known

    def forget(self) -> None:
        """Take the content as it is now for known."""
        self._mark = self._read_mark = self._look()
        self._digest = self._read()

    def _is_fresh(self) -> bool:
        return self._mark is not None and abs(self._wall_ns() - self._mark[3]) < FRESH_NS

    def _look(self) -> Mark:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self) -> bytes | None:
        """A digest of the content; None if it cannot be read. The content itself holds passwords."""
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return None
