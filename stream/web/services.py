"""What the web server shows and serves; the builder of a pipeline passes it in, and every route reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.core.view_controls import ViewControls
from stream.runtime.stats import PipelineStats
from stream.settings import WebSettings
from stream.web.live.hub import WebSink

if TYPE_CHECKING:
    from stream.web.depth_api.routes import ImageService


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the routes of one server use. Each of these objects must outlive the server."""

    sink: WebSink
    """Holds the newest view of each camera."""
    controls: ViewControls
    """Colour map and depth range, shared by all viewers."""
    stats: Callable[[], PipelineStats]
    """Returns a snapshot of the pipeline; called on the server's thread."""
    required_stages: tuple[str, ...]
    """Names of the stages that must run for /healthz to report that the pipeline is ready."""
    images: ImageService | None
    """The service behind POST /api/depth, or None for a server without it."""
    settings: WebSettings
