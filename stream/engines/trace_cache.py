"""Compiled networks on disk, each in one file that records its key and its own checksum.

Layout: a line with the format, a line with the SHA-256 of all that follows, a line with the key, then the content. As
one file holds everything, it is replaced atomically: if two processes write the same entry, the last one wins.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from stream.core.atomic_write import atomic_write
from stream.errors import first_line

log = logging.getLogger(__name__)

_TITLE = b"depthstream trace 1\n"


class TraceCache:
    """Maps keys to content, as files in a folder; without a folder nothing is stored."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, name: str, key: str) -> bytes | None:
        """The content stored under ``key``, or None. A damaged file is logged and ignored."""
        if self._folder is None:
            return None
        path = self._path(self._folder, name, key)
        try:
            return _content(path.read_bytes(), key)
        except OSError:
            return None  # missing or unreadable; ``write`` will report what is wrong with the folder
        except ValueError as error:
            self.report(name, key, error)
            return None

    def report(self, name: str, key: str, error: BaseException) -> None:
        """Log that the file is unusable and is being rebuilt."""
        path = self._path(self._folder, name, key) if self._folder else name
        log.warning("%s: rebuilt, because the file was not usable: %s", path, first_line(error))

    def write(self, name: str, key: str, content: bytes) -> None:
        """Store ``content``. A folder that cannot be written is logged once, and then nothing is stored any more."""
        if self._folder is None:
            return
        try:
            atomic_write(self._path(self._folder, name, key), _with_header(content, key))
        except OSError as error:
            log.warning("%s: compiled networks cannot be kept here, the next start is slower: %s", self._folder, error)
            self._folder = None

    def _path(self, folder: Path, name: str, key: str) -> Path:
        # A part of the hash is enough for a name, because the file holds the whole key.
        return folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.trace"


def _with_header(content: bytes, key: str) -> bytes:
    body = key.encode() + b"\n" + content
    return _TITLE + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _content(data: bytes, key: str) -> bytes:
    """The content in ``data``. Raises ValueError unless it was written under ``key`` and is complete."""
    start = len(_TITLE) + 65  # 64 hexadecimal digits and a line break
    if not data.startswith(_TITLE) or data[start - 1 : start] != b"\n":
        raise ValueError("it is not one of our files")
    body = memoryview(data)[start:]  # not a slice of bytes, which would copy the whole network
    if hashlib.sha256(body).hexdigest().encode() != data[len(_TITLE) : start - 1]:
        raise ValueError("its checksum is wrong")
    prefix = key.encode() + b"\n"
    if body[: len(prefix)] != prefix:
        raise ValueError("it was made from something else")
    return bytes(body[len(prefix) :])
