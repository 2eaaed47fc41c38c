"""Live: cameras of any kind -> depth -> colour, newest image first; the common part of ``webcam`` and ``rtsp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo

from pipelines.components.depth import add_depth
from pipelines.components.live_cameras import CameraPipeline
from pipelines.components.window import Preview
from stream.frames import View
from stream.inference.open import estimator_for
from stream.runtime.pipeline import chain
from stream.settings import Camera, ModelSettings, RecordSettings, RenderSettings, Settings, SteadySettings
from stream.sinks.base import Sink
from stream.sinks.video_file import Recorder
from stream.stages.publish import publish
from stream.stages.render import render

if TYPE_CHECKING:
    from pipelines.components.web import Web


T = TypeVar("T")

CAMERAS_MAY_COME = "cameras may come"
"""Key of the validation context for a config whose cameras may change while it runs: there may be none."""


def at_least_one(cameras: tuple[T, ...], info: ValidationInfo) -> tuple[T, ...]:
    """Refuse a list without cameras, unless some may come later."""
    if not cameras and not (info.context or {}).get(CAMERAS_MAY_COME):
        raise ValueError("must have at least one entry")
    return cameras


Cameras = Annotated[tuple[Camera, ...], AfterValidator(at_least_one), Field(json_schema_extra={"minItems": 1})]


class LiveSettings(Settings):
    """One or more cameras that share one network."""

    cameras: Cameras = Field(description="one [[cameras]] table per camera")
    model: ModelSettings = ModelSettings()
    steady: SteadySettings | None = Field(default=None, description="temporal stabilisation; unset: none")
    render: RenderSettings = RenderSettings()
    record: RecordSettings | None = Field(default=None, description="also record each camera's depth; unset: no")


def build_live(
    name: str, settings: LiveSettings, preview: Preview | None = None, *sinks: Sink[View], web: Web | None = None
) -> CameraPipeline:
    """Build a live pipeline. It drops frames in two places only: before the network and before the sinks.

    Only the newest item of each camera waits there. Cameras take turns at the network, however fast each one is; a slow
    or missing one delays no other. ``preview`` and ``web`` share their controls: one image is painted for both.
    """
    pipe = CameraPipeline(name)
    cameras = pipe.add_cameras(settings.cameras)
    if web:
        web.follow(pipe)
    depth = add_depth(pipe, estimator_for(settings.model), cameras, policy="latest", steady=settings.steady)
    viewers = [viewer for viewer in (preview, web) if viewer]
    all_sinks = [
        *sinks,
        *(viewer.sink for viewer in viewers),
        *([Recorder(settings.record)] if settings.record else []),
    ]
    # "latest", not "drop_oldest": with one place for all cameras, one camera's view would displace another's.
    paint = render(settings.render, viewers[0].controls if viewers else None)
    pipe.stage("show", chain(render=paint, show=publish(*all_sinks)), after=[depth], policy="latest")
    return pipe
