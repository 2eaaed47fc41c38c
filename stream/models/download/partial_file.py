"""A download that is not complete yet: its bytes in ``<file>.part`` and what the server said of them beside it.

Only one process may add to it. What is kept lets a later run continue, and tells when the file on the server is
another one by then.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self

from stream.errors import DownloadError


@dataclass(frozen=True, slots=True)
class Origin:
    """What identifies the file on the server."""

    url: str
    total_bytes: int | None = None
    validator: str | None = None
    """A strong ETag or a Last-Modified date, for the header ``If-Range`` (RFC 9110, 13.1.5)."""


@dataclass
class Partial:
    """The bytes that are there so far, open for more."""

    path: Path
    file: BinaryIO
    origin: Origin | None
    """Of the bytes that are there; None: nothing is known of them, so they are not continued."""

    @classmethod
    @contextmanager
    def open(cls, target: Path) -> Iterator[Self]:
        """The download that will become ``target``. Raises DownloadError while another process has it."""
        path = target.with_name(f"{target.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            _lock(file, path)
            yield cls(path, file, _read_note(_note(path)))

    @property
    def size_bytes(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def begin(self, origin: Origin) -> None:
        """Start over: what comes next is the beginning of ``origin``."""
        self.file.truncate(0)
        self.origin = origin
        _note(self.path).write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def become(self, target: Path) -> None:
        """Put the finished file in its place in one step."""
        self.file.flush()
        os.fsync(self.file.fileno())
        os.replace(self.path, target)
        _note(self.path).unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget it: continuing would give the same bad file again."""
        _note(self.path).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
    except BlockingIOError as error:
        raise DownloadError(f"{path}: another process is downloading this file; wait for it, then try again") from error
    if not same:  # it became the finished file between our opening and our locking it
        raise DownloadError(f"{path}: another process has just downloaded this file; try again")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read_note(path: Path) -> Origin | None:
    try:
        return Origin(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
