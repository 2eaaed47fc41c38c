"""Robot: cameras -> depth -> ZeroMQ, newest image first; readers in any language (docs/reference/wire.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from pipelines.components.depth import add_depth
from pipelines.components.live_cameras import CameraPipeline
from pipelines.components.publisher import add_publisher
from pipelines.live import LiveSettings
from stream.errors import SettingsError
from stream.frames import DepthMap, Dropped
from stream.inference.open import estimator_for
from stream.models.catalog import find
from stream.runtime.pipeline import chain
from stream.settings import McapSettings, PublishSettings
from stream.sinks.mcap.recorder import McapRecorder
from stream.sinks.video_file import Recorder
from stream.stages.publish import publish
from stream.stages.render import render

MCAP_FRAMES = 16
"""Frames that may wait for the disk; further ones are missing in the recording, and counted."""


class RobotSettings(LiveSettings):
    """Cameras whose depth is published for robots."""

    pipeline: Literal["robot"]
    publish: PublishSettings = PublishSettings()
    mcap: McapSettings | None = Field(
        default=None, description="also record for ROS 2 tools, metric networks only; unset: no"
    )


def build(settings: RobotSettings) -> CameraPipeline:
    """Build the pipeline. Recordings have channels of their own, so that a slow disk delays no robot.

    Raises SettingsError for a recording of metric depth from a network whose depth is relative.
    """
    if settings.mcap and (model := find(settings.model.name)).kind != "metric":
        raise SettingsError(
            f'[mcap] records metres, and the depth of model "{model.name}" is relative: choose a metric network '
            "(depthstream models list), or leave [mcap] out"
        )
    pipe = CameraPipeline("robot")
    cameras = pipe.add_cameras(settings.cameras)
    depth = add_depth(pipe, estimator_for(settings.model), cameras, policy="latest", steady=settings.steady)
    add_publisher(pipe, depth, settings.publish, settings.render, settings.cameras)
    if settings.record:
        steps = chain(render=render(settings.render), record=publish(Recorder(settings.record)))
        pipe.stage("record", steps, after=[depth], policy="latest")
    if settings.mcap:
        steps = chain(metric=metric_only, mcap=publish(McapRecorder(settings.mcap)))
        pipe.stage("mcap", steps, after=[depth], policy="drop_oldest", capacity=MCAP_FRAMES)
    return pipe


def metric_only(maps: Iterable[DepthMap]) -> Iterator[DepthMap | Dropped]:
    """Drop relative depth, which a fallback network may produce, so that the recording goes on without it."""
    for depth_map in maps:
        yield depth_map if depth_map.kind == "metric" else Dropped(depth_map.frames, "not metric")
