"""Checks of paths from the user: a URL instead of a file, and two paths that name the same file."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

FileIdentity: TypeAlias = tuple[int, int]
"""(device, inode)."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""The start of a URL with one slash, because ``Path`` collapses two."""


def is_url(path: Path) -> bool:
    """True if ``path`` is the URL of a camera in the place of a file."""
    return bool(_URL.match(str(path)))


def file_identity(path: Path) -> FileIdentity | None:
    """Identity of the file behind any name or link; None if it does not exist or cannot be read."""
    with suppress(OSError):
        found = path.expanduser().stat()
        return found.st_dev, found.st_ino
    return None
