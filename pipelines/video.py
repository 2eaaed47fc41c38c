"""Video: files or rendered scenes -> depth -> colour -> one mp4 per camera. No frame is dropped."""

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
    """Video files whose every frame becomes depth."""

    pipeline: Literal["video"]
    cameras: tuple[Camera, ...] = Field(min_length=1, description="one [[cameras]] table per camera")
    model: ModelSettings = ModelSettings(layout="throughput")
    steady: SteadySettings | None = Field(default=None, description="temporal stabilisation; unset: none")
    render: RenderSettings = RenderSettings()
    record: RecordSettings


def build(settings: VideoSettings) -> Pipeline:
    """Build the pipeline. Every channel blocks when full: a slow encoder slows down reading, and no frame is lost."""
    estimator = estimator_for(settings.model, waits=True)
    pipe = Pipeline("video")
    cameras = add_cameras(pipe, settings.cameras)
    depth = add_depth(pipe, estimator, cameras, policy="block", steady=settings.steady)
    views = pipe.stage("render", render(settings.render), after=[depth], capacity=2)
    pipe.stage("record", publish(Recorder(settings.record)), after=[views], capacity=2)
    return pipe
