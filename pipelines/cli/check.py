"""`depthstream check` and `depthstream schema`: what a config file means, without opening anything."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomli_w
from rich.console import Console
from rich.syntax import Syntax

from pipelines.registry import json_schema, load
from stream.core.config_file import SECRETS
from stream.core.log import redact
from stream.errors import SinkError
from stream.sources.network.url import CameraUrl


def print_check(config: Path, assignments: list[str]) -> None:
    """The settings with every default filled in, then the graph, one stage a line."""
    settings, pipe = load(config, assignments)
    console = Console()
    resolved = tomli_w.dumps(_without_secrets(settings.model_dump(mode="json", exclude_none=True)))
    if console.is_terminal:
        console.print(Syntax(resolved, "toml", background_color="default"))
    else:
        _print(resolved)
    _print("\n".join(("# graph", *(f"#   {line}" for line in pipe.graph()))))


def _without_secrets(settings: Any, key: str = "") -> Any:
    """Cameras' addresses as they may be shown, no token, and no password wherever somebody put one."""
    if isinstance(settings, dict):
        return {name: _without_secrets(value, name) for name, value in settings.items()}
    if isinstance(settings, list):
        return [_without_secrets(value, key) for value in settings]
    if not isinstance(settings, str):
        return settings
    return "***" if key in SECRETS else redact(CameraUrl(settings).label if key == "url" else settings)


def print_schema() -> None:
    """JSON Schema on standard output. Raises SinkError."""
    _print(json.dumps(json_schema(), indent=2))


def _print(text: str) -> None:
    """At once, so that a full disk is told here and not when Python ends."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise  # whoever read it has seen enough; click knows
    except OSError as error:
        with suppress(OSError, ValueError):  # what is left in the buffer must not be tried again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SinkError(f"standard output cannot be written: {error.strerror}") from error
