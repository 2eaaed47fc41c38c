"""Paths as people give them: addresses that are none, and two that mean one file."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Identity: TypeAlias = tuple[int, int]

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""One slash: a path keeps no more of them."""


def is_address(path: Path) -> bool:
    """Whether somebody gave the URL of a camera where a file belongs."""
    return bool(_ADDRESS.match(str(path)))


def identity(path: Path) -> Identity | None:
    """Of a file, by whatever name and through whatever links; None if there is none, or it is hidden from us."""
    with suppress(OSError):
        found = path.expanduser().stat()
        return found.st_dev, found.st_ino
    return None
