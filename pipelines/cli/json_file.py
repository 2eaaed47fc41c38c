"""What `--json` writes: figures for programs, into a file, a pipe or a device, or on standard output."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from stream.core.atomic_write import write_whole
from stream.errors import SinkError, UsageError

STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def check_writable(path: Path) -> None:
    """Raise before anything has started when ``path`` could not be written at the end: UsageError, SinkError."""
    if is_stdout(path):
        return
    if os.path.isdir(path):
        raise UsageError(f"{path}: is a folder; give the name of a file")
    folder = path.resolve().parent if path.is_symlink() else path.parent
    is_other = os.path.exists(path) and not os.path.isfile(path)
    if not os.path.isdir(folder) or not os.access(path if is_other else folder, os.W_OK):
        raise SinkError(f"{path}: cannot be written: the folder {folder} does not exist, or it is read-only")


def write_json(path: Path, data: Any) -> None:
    """Write ``data``, with null for numbers that are none. A file is written in one piece: whole, or not there.

    What is there and no file (a pipe, a device) is written to; a link stays one. Raises SinkError.
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
            write_whole(path.resolve(), content.encode())
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from error


def is_stdout(path: Path | None) -> bool:
    """Whether figures are asked for on standard output, by whatever name."""
    return str(path) in STDOUT


def console_beside(json_file: Path | None) -> Console:
    """For tables: standard output, unless that is for ``json_file``; then standard error."""
    return Console(stderr=is_stdout(json_file))


def _finite(data: Any) -> Any:
    """JSON knows no NaN and no infinity (RFC 8259, section 6)."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data
