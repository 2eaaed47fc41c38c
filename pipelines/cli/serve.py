"""`depthstream serve`: cameras to the browser, and a service that takes images, from a config file, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.cli.run import run_loaded
from pipelines.registry import load
from pipelines.serve import ServeSettings
from stream.errors import SettingsError


def run_serve(config: Path, assignments: list[str], **how: Any) -> int:
    """Serve; ``how``: as for ``run_pipeline``; the exit status. Raises SettingsError for another pipeline's config."""
    settings, pipe = load(config, assignments)
    if not isinstance(settings, ServeSettings):
        raise SettingsError(
            f'{config}: pipeline = "{pipe.name}" serves no page: begin with configs/serve.toml, or "depthstream run"'
        )
    return run_loaded(settings, pipe, **how)
