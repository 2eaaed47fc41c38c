"""Webcam: cameras at this machine -> depth -> colour, newest image of each first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipelines.components.live_cameras import CameraPipeline
from pipelines.components.window import Preview
from pipelines.live import Cameras, LiveSettings, build_live
from stream.frames import View
from stream.settings import WebcamCamera
from stream.sinks.base import Sink

if TYPE_CHECKING:
    from pipelines.components.web import Web


class WebcamSettings(LiveSettings):
    """Cameras at this machine; cameras of other kinds may be added."""

    pipeline: Literal["webcam"]
    cameras: Cameras = Field(default=(WebcamCamera(source="webcam"),), description="one [[cameras]] table per camera")


def build(
    settings: WebcamSettings, preview: Preview | None = None, *sinks: Sink[View], web: Web | None = None
) -> CameraPipeline:
    """Build the pipeline. It waits for a camera that is unplugged (``stream.sources.reconnect``)."""
    return build_live("webcam", settings, preview, *sinks, web=web)
