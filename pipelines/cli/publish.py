"""`depthstream publish`: cameras to depth frames over ZeroMQ, from a config file, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

from pipelines.cli.run import err, run_pipeline
from pipelines.objects import ObjectsSettings
from pipelines.registry import load
from pipelines.robot import RobotSettings
from stream.errors import SettingsError


def run_publish(
    config: Path, assignments: list[str], *, seconds: float | None, stats_every_s: float | None, json_file: Path | None
) -> int:
    """Publish; the exit status. Raises SettingsError for a config file of another pipeline."""
    settings, pipe = load(config, assignments)
    if not isinstance(settings, RobotSettings | ObjectsSettings):
        raise SettingsError(
            f'{config}: pipeline = "{pipe.name}" publishes nothing: "depthstream config robot" prints one that does'
        )
    err.print(announcement(settings), markup=False, highlight=False, soft_wrap=True)
    return run_pipeline(pipe, seconds=seconds, stats_every_s=stats_every_s, json_file=json_file)


def announcement(settings: RobotSettings | ObjectsSettings) -> str:
    """What is going to be published where, and how to look at it."""
    families = ("depth", "objects") if isinstance(settings, ObjectsSettings) else ("depth",)
    names = ", ".join(f"{family}/{camera.name}" for camera in settings.cameras for family in families)
    keys = " --keys DIR" if settings.publish.keys else ""
    places = " and ".join(settings.publish.endpoints)
    nearest = settings.publish.endpoints[0].replace("//*:", "//127.0.0.1:")
    return f"publishing {names} on {places}; to look: depthstream watch {nearest}{keys}"
