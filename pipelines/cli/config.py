"""`depthstream config`, `check` and `schema`: print bundled configs, and what a config file means.

What `config` does not need is imported inside the functions: the registry imports every pipeline.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.bundled import bundled, find_bundled
from stream.errors import SinkError


def print_config(name: str | None) -> None:
    """Print a bundled config with its comments, or list all of them. Raises SettingsError for an unknown name."""
    if name is not None:
        sys.stdout.write(find_bundled(name).read_text(encoding="utf-8"))
        return
    for each, path in bundled().items():
        print(f"{each:10}{_title(path.read_text(encoding='utf-8'))}")


def print_check(config: Path, assignments: list[str]) -> None:
    """Print the settings with every default filled in, then the graph, one stage per line. Raises SettingsError."""
    import tomli_w
    from rich.console import Console
    from rich.syntax import Syntax

    from pipelines.registry import load

    settings, pipe = load(config, assignments)
    console = Console()
    resolved = tomli_w.dumps(_without_secrets(settings.model_dump(mode="json", exclude_none=True)))
    if console.is_terminal:
        console.print(Syntax(resolved, "toml", background_color="default"))
    else:
        _print(resolved)
    _print("\n".join(("# graph", *(f"#   {line}" for line in pipe.graph()))))


def print_schema() -> None:
    """Print the JSON Schema of config files. Raises SinkError if standard output cannot be written."""
    import json

    from pipelines.registry import json_schema

    _print(json.dumps(json_schema(), indent=2))


def _title(text: str) -> str:
    """The sentence in the first comment line of a config file."""
    return text.partition("\n")[0].removeprefix("# ")


def _without_secrets(settings: Any, key: str = "") -> Any:
    """The settings with tokens replaced by "***" and passwords removed from URLs and all other strings."""
    from stream.core.config_file import SECRETS
    from stream.core.log import redact
    from stream.sources.gstreamer.description import Description
    from stream.sources.network.url import CameraUrl

    if isinstance(settings, dict):
        return {name: _without_secrets(value, name) for name, value in settings.items()}
    if isinstance(settings, list):
        return [_without_secrets(value, key) for value in settings]
    if not isinstance(settings, str):
        return settings
    if key in SECRETS:
        return "***"
    shown = {"url": lambda: CameraUrl(settings).label, "pipeline": lambda: Description(settings).redacted}
    return redact(shown[key]() if key in shown else settings)


def _print(text: str) -> None:
    """Print and flush, so that a full disk is reported as SinkError here and not by Python at exit."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise  # the reader of a pipe has seen enough; click handles it
    except OSError as error:
        with suppress(OSError, ValueError):  # what is left in the buffer must not be tried again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SinkError(f"standard output cannot be written: {error.strerror}") from error
