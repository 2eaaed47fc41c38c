"""Writing a file in one step: whoever reads it finds the old content or the new one, and never half of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """Another path, for the block to write a file at; it becomes ``path`` when the block ends well. Raises OSError.

    The folder is made where it is missing; of two writers the last one wins. What was there before stays until all is
    written. A process that is killed meanwhile leaves ``path`` with a few letters behind its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what is told
            temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write ``path`` with ``content`` as ``in_one_step`` does. Raises OSError."""
    with in_one_step(path) as temporary, temporary.open("xb") as file:
        file.write(content)  # not by tempfile: others on this machine may read what is in a cache
