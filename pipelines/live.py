"""Live: cameras of any kind -> depth -> colour, newest image first; what `webcam` and `rtsp` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipelines.components.cameras import add_cameras
from pipelines.components.depth import add_depth
from pipelines.components.window import Preview
from stream.frames import View
from stream.inference.open import estimator_for
from stream.runtime.pipeline import Pipeline, chain
from stream.settings import Camera, ModelSettings, RecordSettings, RenderSettings, Settings, SteadySettings
from stream.sinks.base import Sink
from stream.sinks.video_file import Recorder
from stream.stages.publish import publish
from stream.stages.render import render

if TYPE_CHECKING:
    from pipelines.components.web import Web


class LiveSettings(Settings):
    """One or many cameras in front of one network."""

    cameras: tuple[Camera, ...] = Field(min_length=1)
    model: ModelSettings = ModelSettings()
    steady: SteadySettings | None = Field(default=None, description="the table's presence turns it on")
    render: RenderSettings = RenderSettings()
    record: RecordSettings | None = Field(default=None, description="also write a video of each camera's depth")


def build_live(
    name: str, settings: LiveSettings, preview: Preview | None = None, *sinks: Sink[View], web: Web | None = None
) -> Pipeline:
    """Drops in two places only: the newest image of each camera waits for the network, the newest view for the sinks.

    Cameras take turns at the network, however fast each of them is; one that is slow or gone delays no other.
    ``preview`` and ``web`` share their controls: one image is painted for both.
    """
    pipe = Pipeline(name)
    cameras = add_cameras(pipe, settings.cameras)
    depth = add_depth(pipe, estimator_for(settings.model), cameras, policy="latest", steady=settings.steady)
    lookers = [looker for looker in (preview, web) if looker]
    all_sinks = [
        *sinks,
        *(looker.sink for looker in lookers),
        *([Recorder(settings.record)] if settings.record else []),
    ]
    painting = render(settings.render, lookers[0].controls if lookers else None)
    pipe.stage("show", chain(render=painting, show=publish(*all_sinks)), after=[depth], policy="latest")
    return pipe
