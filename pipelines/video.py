"""Video: files or rendered scenes -> depth -> colour -> an mp4 a camera. Nothing is dropped."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.components.cameras import add_cameras
from pipelines.components.depth import add_depth
from stream.inference.open import estimator_for
from stream.runtime.pipeline import Pipeline
from stream.settings import Camera, ModelSettings, RecordSettings, RenderSettings, Settings, SteadySettings
from stream.sinks.video_file import Recorder
from stream.stages.publish import publish
from stream.stages.render import render


class VideoSettings(Settings):
    """The file pipeline: every frame that goes in comes out."""

    pipeline: Literal["video"]
    cameras: tuple[Camera, ...] = Field(min_length=1)
    model: ModelSettings = ModelSettings(layout="throughput")
    steady: SteadySettings | None = Field(default=None, description="the table's presence turns it on")
    render: RenderSettings = RenderSettings()
    record: RecordSettings


def build(settings: VideoSettings) -> Pipeline:
    """Every edge waits for room: a slow encoder slows the reading, and no frame is lost."""
    estimator = estimator_for(settings.model, waits=True)
    pipe = Pipeline("video")
    cameras = add_cameras(pipe, settings.cameras)
    depth = add_depth(pipe, estimator, cameras, policy="block", steady=settings.steady)
    views = pipe.stage("render", render(settings.render), after=[depth], capacity=2)
    pipe.stage("record", publish(Recorder(settings.record)), after=[views], capacity=2)
    return pipe
