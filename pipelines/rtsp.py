"""RTSP: IP cameras, and any other stream that FFmpeg reads, to depth; the newest image of each first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipelines.components.window import Preview
from pipelines.live import LiveSettings, build_live
from stream.frames import View
from stream.runtime.pipeline import Pipeline
from stream.sinks.base import Sink

if TYPE_CHECKING:
    from pipelines.components.web import Web


class RtspSettings(LiveSettings):
    """Cameras on the network; other kinds may stand beside them."""

    pipeline: Literal["rtsp"]


def build(
    settings: RtspSettings, preview: Preview | None = None, *sinks: Sink[View], web: Web | None = None
) -> Pipeline:
    """Cameras that are absent are waited for, broken connections are made again (``stream.sources.reconnect``)."""
    return build_live("rtsp", settings, preview, *sinks, web=web)
