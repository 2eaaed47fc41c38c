"""The pipelines that a config file can name, and the way from the file to a built pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipelines import demo, objects, robot, rtsp, serve, video, webcam
from pipelines.bundled import config_path
from pipelines.paths import identity, is_address
from stream.core.config_file import override, parse, read_toml
from stream.core.suggest import nearest
from stream.errors import SettingsError, UsageError
from stream.runtime.pipeline import Pipeline
from stream.settings import ImagesCamera, McapSettings, RecordSettings, Settings, VideoCamera
from stream.sinks.video_file import recording_path


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of pipeline."""

    settings: type[Settings]
    build: Callable[[Any], Pipeline]
    """From those settings to a pipeline; opens nothing."""


RECIPES = {
    "demo": Recipe(demo.DemoSettings, demo.build),
    "objects": Recipe(objects.ObjectsSettings, objects.build),
    "robot": Recipe(robot.RobotSettings, robot.build),
    "rtsp": Recipe(rtsp.RtspSettings, rtsp.build),
    "serve": Recipe(serve.ServeSettings, serve.build),
    "video": Recipe(video.VideoSettings, video.build),
    "webcam": Recipe(webcam.WebcamSettings, webcam.build),
}


def load(path: Path, assignments: Iterable[str] = ()) -> tuple[Settings, Pipeline]:
    """The settings of a config file, or of a bundled one by its name, and its pipeline, built and not started.

    Raises SettingsError for anything wrong in the file or in ``assignments`` (``table.key=value``), and UnknownModel
    and MissingPackage for what it asks for and is not here.
    """
    if is_address(path):
        raise SettingsError(f"{path}: is an address, not a config file: for live depth of it use depthstream rtsp URL")
    data = override(read_toml(config_path(path)), assignments)
    name = data.get("pipeline")
    if name not in RECIPES:
        what = 'key "pipeline" is missing' if name is None else f'pipeline = "{name}" does not exist'
        raise SettingsError(f"{path}: {what}{nearest(str(name or ''), RECIPES)}")
    settings = parse(RECIPES[name].settings, data, origin=str(path))
    try:
        _check_inputs_stay(settings)
        return settings, RECIPES[name].build(settings)
    except UsageError as error:
        raise type(error)(f"{path}: {error}") from error


def _check_inputs_stay(settings: Settings) -> None:
    """Raise SettingsError if a recording would take the place of a file that a camera reads."""
    cameras = [each for each in getattr(settings, "cameras", ()) if isinstance(each, VideoCamera | ImagesCamera)]
    read = {place: each for each in cameras if (place := identity(Path(each.path)))}
    for table in ("record", "mcap"):
        recording = getattr(settings, table, None)
        if not isinstance(recording, RecordSettings | McapSettings):
            continue
        for each in cameras:
            if source := read.get(identity(recording_path(recording.path, each.name)) or (-1, -1)):
                raise SettingsError(
                    f'[{table}] path = "{recording.path}" is what camera "{source.name}" reads; write to another file'
                )


def json_schema() -> dict[str, Any]:
    """JSON Schema of every config file, for editors and validators."""
    any_recipe: Any = None
    for recipe in RECIPES.values():
        any_recipe = recipe.settings if any_recipe is None else any_recipe | recipe.settings
    schema = TypeAdapter(any_recipe).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "depthstream config", **schema}
