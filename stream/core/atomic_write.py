"""Atomic file replacement: a reader finds the old content or the new one, never a partial file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it is renamed to ``path`` when the block succeeds. Raises OSError.

    Creates the parent folder where it is missing. An existing ``path`` stays until the new content is complete; with
    two writers the last one wins. A process that is killed meanwhile leaves a file named ``path`` plus eight random
    hexadecimal digits behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")  # same folder: a rename across disks is a copy
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # report the first error, not the failed clean-up
            temporary.unlink(missing_ok=True)
        raise


def atomic_write(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` as ``atomic_replace`` does. Raises OSError."""
    with atomic_replace(path) as temporary, temporary.open("xb") as file:
        # Not by tempfile, whose files are private (mode 0600): other users of this machine may read the caches.
        file.write(content)
