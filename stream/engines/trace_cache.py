"""Compiled networks on disk. A file tells what it was made from, and whether it is whole.

Layout: one line that says what it is, one with the SHA-256 of all that follows, one with the key, then the content.
One file holds everything, so that replacing it is one step: of two processes that write the same, the last one wins.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from stream.core.atomic_write import write_whole
from stream.errors import first_line

log = logging.getLogger(__name__)

_TITLE = b"depthstream trace 1\n"


class TraceCache:
    """Content by key in a folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, name: str, key: str) -> bytes | None:
        """What was written under ``key``, or None. A file that is not what it should be is reported and ignored."""
        if self._folder is None:
            return None
        path = self._path(self._folder, name, key)
        try:
            return _content(path.read_bytes(), key)
        except OSError:
            return None  # there is none, or none for us; writing will say what is wrong with the folder
        except ValueError as error:
            self.report(name, key, error)
            return None

    def report(self, name: str, key: str, error: BaseException) -> None:
        """One line in the log: the file is of no use and is being rebuilt."""
        path = self._path(self._folder, name, key) if self._folder else name
        log.warning("%s: rebuilt, because the file was not usable: %s", path, first_line(error))

    def write(self, name: str, key: str, content: bytes) -> None:
        """Keep ``content``. A folder that cannot be written is reported once; from then on nothing is kept."""
        if self._folder is None:
            return
        try:
            write_whole(self._path(self._folder, name, key), _with_header(content, key))
        except OSError as error:
            log.warning("%s: compiled networks cannot be kept here, the next start is slower: %s", self._folder, error)
            self._folder = None

    def _path(self, folder: Path, name: str, key: str) -> Path:
        return folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.trace"


def _with_header(content: bytes, key: str) -> bytes:
    body = key.encode() + b"\n" + content
    return _TITLE + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _content(data: bytes, key: str) -> bytes:
    """Raises ValueError unless ``data`` was written under ``key`` and is whole."""
    start = len(_TITLE) + 65
    if not data.startswith(_TITLE) or data[start - 1 : start] != b"\n":
        raise ValueError("it is not one of our files")
    body = memoryview(data)[start:]
    if hashlib.sha256(body).hexdigest().encode() != data[len(_TITLE) : start - 1]:
        raise ValueError("its check sum is wrong")
    prefix = key.encode() + b"\n"
    if body[: len(prefix)] != prefix:
        raise ValueError("it was made from something else")
    return bytes(body[len(prefix) :])
