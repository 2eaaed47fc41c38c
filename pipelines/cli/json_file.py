"""The output of `--json`: results as JSON in a file, a pipe or a device, or on standard output."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from stream.core.atomic_write import atomic_write
from stream.errors import SinkError, UsageError

STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""The names of standard output."""


def check_writable(path: Path) -> None:
    """Raise UsageError or SinkError now if ``write_json`` could not write ``path`` after the work is done."""
    if is_stdout(path):
        return
    if os.path.isdir(path):
        raise UsageError(f"{path}: is a folder; give the name of a file")
    # a file is replaced by a new one from the same folder, so the folder must be writable; a device is written itself
    folder = path.resolve().parent if path.is_symlink() else path.parent
    is_device = os.path.exists(path) and not os.path.isfile(path)
    if not os.path.isdir(folder) or not os.access(path if is_device else folder, os.W_OK):
        raise SinkError(f"{path}: cannot be written: the folder {folder} does not exist, or it is read-only")


def write_json(path: Path, data: Any) -> None:
    """Write ``data``, with null for NaN and infinity. A file is replaced atomically, so it is never half written.

    A pipe or a device is written to directly, and a symbolic link stays a link. Raises SinkError.
    """
    content = json.dumps(_finite(data), indent=2, allow_nan=False) + "\n"
    try:
        if is_stdout(path):
            sys.stdout.write(content)
            sys.stdout.flush()
        elif path.exists() and not path.is_file():
            with path.open("wb") as file:
                file.write(content.encode())
        else:
            atomic_write(path.resolve(), content.encode())  # resolved: renaming over a link would replace the link
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from error


def is_stdout(path: Path | None) -> bool:
    """True if ``path`` is one of the names of standard output."""
    return str(path) in STDOUT


def table_console(json_file: Path | None) -> Console:
    """The console for tables: standard output, or standard error if the JSON goes to standard output."""
    return Console(stderr=is_stdout(json_file))


def _finite(data: Any) -> Any:
    """``data`` with None for NaN and infinity, which JSON does not have (RFC 8259, section 6)."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data
