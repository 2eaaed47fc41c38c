"""`depthstream check` and `depthstream schema`: what a config file means, without opening anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tomli_w
from rich.console import Console
from rich.syntax import Syntax

from pipelines.recipes import json_schema, load
from stream.sources.camera_url import CameraUrl


def print_check(config: Path, assignments: list[str]) -> None:
    """The settings with every default filled in, then the graph, one stage a line."""
    settings, pipe = load(config, assignments)
    console = Console()
    resolved = tomli_w.dumps(_without_secrets(settings.model_dump(mode="json", exclude_none=True)))
    if console.is_terminal:
        console.print(Syntax(resolved, "toml", background_color="default"))
    else:
        print(resolved)
    print("# graph")
    for line in pipe.graph():
        print(f"#   {line}")


def _without_secrets(settings: dict[str, Any]) -> dict[str, Any]:
    """Cameras' addresses as they may be shown, and no token."""
    if (web := settings.get("web", {})).get("token"):
        web["token"] = "***"
    for camera in settings.get("cameras", []):
        if "url" in camera:
            camera["url"] = CameraUrl(camera["url"]).label
    return settings


def print_schema() -> None:
    """JSON Schema on standard output."""
    print(json.dumps(json_schema(), indent=2))
