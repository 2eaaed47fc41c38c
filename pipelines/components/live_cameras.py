"""A pipeline whose cameras can be added, changed and removed while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.components.cameras import check_connections, check_names, source_of
from stream.runtime.pipeline import Pipeline
from stream.runtime.worker import Worker
from stream.settings import Camera
from stream.stages.numbering import Numbering

CAPTURE = "capture."
"""A camera's stage is called ``capture.<name>`` (``stream.web.readiness`` knows it, too)."""


@dataclass(frozen=True, slots=True)
class CameraChanges:
    """Names of the cameras that new settings add, change and remove; all others are not touched."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        lists = {"added": self.added, "changed": self.changed, "removed": self.removed}
        return "; ".join(f"{what} {', '.join(names)}" for what, names in lists.items() if names) or "nothing changed"


class CameraPipeline(Pipeline):
    """Call ``add_cameras`` when it is built. After ``stay_open``, one thread may call ``apply`` and ``settle``.

    A camera that is changed keeps its name and its counters, and ``seq`` goes on rising.
    """

    def __init__(self, name: str, *, stop_timeout_s: float = 5.0) -> None:
        super().__init__(name, stop_timeout_s=stop_timeout_s)
        self._settings: dict[str, Camera] = {}
        self._numbers: dict[str, Numbering] = {}
        self._on_added: list[Callable[[Camera], None]] = []
        self._on_removed: list[Callable[[str], None]] = []

    def add_cameras(self, cameras: Sequence[Camera]) -> list[Worker]:
        """Add one source stage per camera; live cameras reconnect and report their health.

        Raises SettingsError for two cameras of one name, and for an address or a device that can never work.
        """
        check_names(cameras)
        check_connections(cameras)
        self._settings = {camera.name: camera for camera in cameras}
        workers = []
        for camera in cameras:
            body, health = source_of(camera)
            numbered = self._numbered(camera.name).continued(body)
            workers.append(self.source(f"{CAPTURE}{camera.name}", numbered, health=health))
        return workers

    def on_cameras(
        self, added: Callable[[Camera], None] = lambda camera: None, removed: Callable[[str], None] = lambda name: None
    ) -> None:
        """Call ``added`` before a camera that is new or changed starts, and ``removed`` after the last frame of one.

        Cameras that the pipeline was built with are not reported. Both are called by the thread that changes cameras.
        """
        self._on_added.append(added)
        self._on_removed.append(removed)

    def changes(self, cameras: Sequence[Camera]) -> CameraChanges:
        """What ``apply`` would do. A camera whose settings are equal is the same one; their order does not matter."""
        wanted = {camera.name: camera for camera in cameras}
        return CameraChanges(
            added=tuple(name for name in wanted if name not in self._settings),
            changed=tuple(name for name, camera in wanted.items() if self._settings.get(name, camera) != camera),
            removed=tuple(name for name in self._settings if name not in wanted),
        )

    def apply(self, cameras: Sequence[Camera]) -> CameraChanges:
        """Add, change and remove cameras until these run; the others do not notice. Returns at once: see ``settle``.

        Raises SettingsError as ``add_cameras`` does, before anything is changed, and StageError when the pipeline is
        stopping.
        """
        check_names(cameras)
        check_connections(cameras)
        changes = self.changes(cameras)
        for name in (*changes.removed, *changes.changed):
            self.remove_source(f"{CAPTURE}{name}")
            del self._settings[name]
        for camera in cameras:
            if camera.name in (*changes.added, *changes.changed):
                self._add(camera)
        return changes

    def settle(self) -> list[str]:
        """See ``Pipeline.settle``; also forgets the cameras that are gone."""
        gone = super().settle()
        for name in (source.removeprefix(CAPTURE) for source in gone):
            self._numbers.pop(name, None)
            for removed in self._on_removed:
                removed(name)
        return gone

    def _add(self, camera: Camera) -> None:
        body, health = source_of(camera)
        for added in self._on_added:
            added(camera)
        self.add_source(f"{CAPTURE}{camera.name}", self._numbered(camera.name).continued(body), health=health)
        self._settings[camera.name] = camera

    def _numbered(self, name: str) -> Numbering:
        return self._numbers.setdefault(name, Numbering())
