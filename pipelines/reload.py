"""Apply the cameras of a config file that has changed to the pipeline that runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.components.live_cameras import CameraPipeline
from pipelines.process.config_watch import ConfigWatch
from pipelines.registry import RECIPES, check_recordings, read_settings
from stream.core.log import redact
from stream.errors import DepthStreamError, SettingsError
from stream.ros.names import image_topic
from stream.settings import McapSettings, RecordSettings, Settings
from stream.sinks.video_file import recording_path
from stream.wire.message import topic_bytes

log = logging.getLogger(__name__)

LONGEST_TOPIC = "preview/"
"""A stream's name that fits a topic of this family fits every topic."""


class CameraReloader:
    """Call it again and again on the main thread: it reads the config file when that has changed or ``is_requested``.

    A file that is wrong in any way changes nothing, and is one warning. Only ``cameras`` are applied; other keys that
    differ from those of the start are named in a warning, and take effect with the next start.
    """

    def __init__(
        self,
        path: Path,
        assignments: Sequence[str],
        settings: Settings,
        pipe: CameraPipeline,
        watch: ConfigWatch,
        is_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path, self._assignments = path, tuple(assignments)
        self._settings, self._pipe = settings, pipe
        self._watch, self._is_requested = watch, is_requested

    def __call__(self) -> None:
        self._pipe.settle()
        if self._is_requested():
            self._watch.forget()
        elif not self._watch.changed():
            return
        try:
            self._reload()
        except DepthStreamError as error:
            problem = redact("; ".join(str(error).splitlines()))
            log.warning("%s; the cameras stay as they are until the file is corrected", problem)

    def _reload(self) -> None:
        new = read_settings(self._path, self._assignments, cameras_may_come=True)
        if type(new) is not type(self._settings):
            raise SettingsError(f"{self._path}: another pipeline needs a restart")
        wanted = self._settings.model_copy(update={"cameras": getattr(new, "cameras", ())})
        try:
            for settings in (new, wanted):
                check_cameras(settings)
        except DepthStreamError as error:
            raise SettingsError(f"{self._path}: {error}") from error
        if other := list(changed_keys(self._settings.model_dump(), new.model_dump())):
            log.warning("%s: restart to apply %s; only cameras are applied now", self._path, ", ".join(other))
        changes = self._pipe.apply(getattr(wanted, "cameras", ()))
        self._settings = wanted
        log.log(logging.WARNING if changes else logging.INFO, "%s: cameras: %s", self._path, changes)


def check_cameras(settings: Settings) -> None:
    """Raise what would end a pipeline with these settings, now or at a camera's first frame; opens nothing."""
    RECIPES[getattr(settings, "pipeline", "")].build(settings)
    check_recordings(settings)
    names = [camera.name for camera in getattr(settings, "cameras", ())]
    if getattr(settings, "publish", None) is not None:
        for name in names:
            topic_bytes(f"{LONGEST_TOPIC}{name}")
    record, mcap = getattr(settings, "record", None), getattr(settings, "mcap", None)
    if isinstance(record, RecordSettings):
        _check_unique(names, lambda name: str(recording_path(record.path, name)), "one file")
    if isinstance(mcap, McapSettings):
        _check_unique(names, lambda name: f"{recording_path(mcap.path, name)}{image_topic(name)}", "one topic")


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any], table: str = "") -> Iterator[str]:
    """The keys other than ``cameras`` that differ, such as ``model.name``; a table that comes or goes as a whole."""
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from changed_keys(old, new, f"{table}{key}.")
        elif old != new and f"{table}{key}" != "cameras":
            yield f"{table}{key}"


def _check_unique(names: Sequence[str], place: Callable[[str], str], what: str) -> None:
    owners: dict[str, str] = {}
    for name in names:
        other = owners.setdefault(place(name), name)
        if other != name:
            raise SettingsError(f'the recordings of cameras "{other}" and "{name}" would share {what}; rename one')
