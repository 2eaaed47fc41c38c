"""The pipelines that a config file can name; ``load`` builds one from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipelines import demo, objects, robot, rtsp, serve, video, webcam
from pipelines.bundled import config_path
from pipelines.live import CAMERAS_MAY_COME
from pipelines.paths import file_identity, is_url
from stream.core.config_file import override, parse, read_toml
from stream.core.suggest import nearest
from stream.errors import SettingsError, UsageError
from stream.runtime.pipeline import Pipeline
from stream.settings import ImagesCamera, McapSettings, RecordSettings, Settings, VideoCamera
from stream.sinks.video_file import recording_path


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of pipeline: its settings and its builder."""

    settings: type[Settings]
    build: Callable[[Any], Pipeline]
    """Makes a pipeline from those settings; opens nothing."""


RECIPES = {
    "demo": Recipe(demo.DemoSettings, demo.build),
    "objects": Recipe(objects.ObjectsSettings, objects.build),
    "robot": Recipe(robot.RobotSettings, robot.build),
    "rtsp": Recipe(rtsp.RtspSettings, rtsp.build),
    "serve": Recipe(serve.ServeSettings, serve.build),
    "video": Recipe(video.VideoSettings, video.build),
    "webcam": Recipe(webcam.WebcamSettings, webcam.build),
}


def load(path: Path, assignments: Iterable[str] = (), *, cameras_may_come: bool = False) -> tuple[Settings, Pipeline]:
    """Read a config file, or a bundled one by its name; return its settings and its pipeline, built but not started.

    ``assignments`` (``table.key=value``) replace settings. Raises SettingsError for anything wrong in the file or in
    them, UnknownModel for an unknown network, and MissingPackage if a requested feature needs a package. With
    ``cameras_may_come`` there may be none yet.
    """
    settings = read_settings(path, assignments, cameras_may_come=cameras_may_come)
    try:
        check_recordings(settings)
        return settings, RECIPES[getattr(settings, "pipeline", "")].build(settings)
    except UsageError as error:
        raise type(error)(f"{path}: {error}") from error


def read_settings(path: Path, assignments: Iterable[str] = (), *, cameras_may_come: bool = False) -> Settings:
    """The settings alone, as ``load`` returns them."""
    if is_url(path):
        raise SettingsError(f"{path}: is an address, not a config file: for live depth of it use depthstream rtsp URL")
    data = override(read_toml(config_path(path)), assignments)
    name = data.get("pipeline")
    if name not in RECIPES:
        problem = 'key "pipeline" is missing' if name is None else f'pipeline = "{name}" does not exist'
        raise SettingsError(f"{path}: {problem}{nearest(str(name or ''), RECIPES)}")
    model = RECIPES[name].settings
    if cameras_may_come and "cameras" in model.model_fields and model.model_fields["cameras"].is_required():
        data.setdefault("cameras", [])
    return parse(model, data, origin=str(path), context={CAMERAS_MAY_COME: cameras_may_come})


def check_recordings(settings: Settings) -> None:
    """Raise SettingsError if a recording would overwrite a file that a camera reads."""
    cameras = [each for each in getattr(settings, "cameras", ()) if isinstance(each, VideoCamera | ImagesCamera)]
    inputs = {identity: each for each in cameras if (identity := file_identity(Path(each.path)))}
    for table in ("record", "mcap"):
        recording = getattr(settings, table, None)
        if not isinstance(recording, RecordSettings | McapSettings):
            continue
        for each in cameras:
            # (-1, -1) stands for a file that does not exist yet, which no camera can read.
            if source := inputs.get(file_identity(recording_path(recording.path, each.name)) or (-1, -1)):
                raise SettingsError(
                    f'[{table}] path = "{recording.path}" is what camera "{source.name}" reads; write to another file'
                )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of config files of every pipeline, for editors and validators."""
    any_recipe: Any = None
    for recipe in RECIPES.values():
        any_recipe = recipe.settings if any_recipe is None else any_recipe | recipe.settings
    schema = TypeAdapter(any_recipe).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "depthstream config", **schema}
