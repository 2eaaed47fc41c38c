"""What a web server shows and serves: handed in by whoever builds a pipeline, for every route to read."""

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
class Parts:
    """One server's parts; all of them outlive it."""

    sink: WebSink
    controls: ViewControls
    stats: Callable[[], PipelineStats]
    """A snapshot of the pipeline; called on the server's thread."""
    required: tuple[str, ...]
    """Stages that must run for /healthz."""
    images: ImageService | None
    """None: no POST /api/depth."""
    settings: WebSettings
