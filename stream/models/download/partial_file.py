"""An unfinished download: its bytes in ``<file>.part``, and the server's description of the file in a JSON next to it.

Only one process may append to it. With the description a later run can continue, and notices when the file on the
server has changed meanwhile.
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
class PartialFile:
    """An unfinished download, locked and open for appending."""

    path: Path
    file: BinaryIO
    origin: Origin | None
    """Origin of the bytes so far; None: unknown, so that the download starts over."""

    @classmethod
    @contextmanager
    def open(cls, target: Path) -> Iterator[Self]:
        """The download that will become ``target``. Raises DownloadError while another process holds its lock."""
        path = target.with_name(f"{target.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            _lock(file, path)
            yield cls(path, file, _read_origin(_origin_path(path)))

    @property
    def size_bytes(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def restart(self, origin: Origin) -> None:
        """Discard the bytes so far; the next byte written is the first of ``origin``."""
        # The file is open for appending, so the next byte goes to its new end. The description follows the truncation:
        # a run that stops in between must not leave old bytes under the new description.
        self.file.truncate(0)
        self.origin = origin
        _origin_path(self.path).write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def move_to(self, target: Path) -> None:
        """Rename the finished file to ``target``, atomically."""
        self.file.flush()
        # Before the rename, or a power cut could leave the final name with missing bytes.
        os.fsync(self.file.fileno())
        os.replace(self.path, target)
        _origin_path(self.path).unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete it, because continuing would give the same bad file again."""
        _origin_path(self.path).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        # The kernel releases it however the process ends, so that no stale lock is left.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
    except BlockingIOError as error:
        raise DownloadError(f"{path}: another process is downloading this file; wait for it, then try again") from error
    if not same:  # it became the finished file between our opening and our locking it
        raise DownloadError(f"{path}: another process has just downloaded this file; try again")


def _origin_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read_origin(path: Path) -> Origin | None:
    try:
        return Origin(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
