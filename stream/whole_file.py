"""Writing a file in one step: whoever reads it finds the old content or the new one, and never half of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write ``path``, and its folder where that is missing; of two writers the last one wins. Raises OSError.

    What was there before stays until all is written. A process that is killed meanwhile leaves ``path`` with a few
    letters behind its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:  # not by tempfile: others on this machine may read what is in a cache
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
