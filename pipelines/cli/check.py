"""`depthstream check` and `depthstream schema`: what a config file means, without opening anything."""

from __future__ import annotations

import json
from pathlib import Path

import tomli_w
from rich.console import Console
from rich.syntax import Syntax

from pipelines.recipes import json_schema, load
from stream.log import redact


def print_check(config: Path, assignments: list[str]) -> None:
    """The settings with every default filled in, then the graph, one stage a line."""
    settings, pipe = load(config, assignments)
    console = Console()
    resolved = tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))
    resolved = redact(resolved)
    if console.is_terminal:
        console.print(Syntax(resolved, "toml", background_color="default"))
    else:
        print(resolved)
    print("# graph")
    for line in pipe.graph():
        print(f"#   {line}")


def print_schema() -> None:
    """JSON Schema on standard output."""
    print(json.dumps(json_schema(), indent=2))
