"""RTSP: IP cameras and any other stream that FFmpeg reads -> depth -> colour, newest image of each first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipelines.components.live_cameras import CameraPipeline
from pipelines.components.window import Preview
from pipelines.live import LiveSettings, build_live
from stream.frames import View
from stream.sinks.base import Sink

if TYPE_CHECKING:
    from pipelines.components.web import Web


class RtspSettings(LiveSettings):
    """Network cameras; cameras of other kinds may be added."""

    pipeline: Literal["rtsp"]


def build(
    settings: RtspSettings, preview: Preview | None = None, *sinks: Sink[View], web: Web | None = None
) -> CameraPipeline:
    """Build the pipeline. It waits for missing cameras and repairs connections (``stream.sources.reconnect``)."""
    return build_live("rtsp", settings, preview, *sinks, web=web)
