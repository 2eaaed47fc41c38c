"""Serve: cameras -> depth -> browser and, on request, ZeroMQ; an HTTP service for images (docs/how-to/browser.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, ValidationInfo, model_validator

from pipelines.components.depth import add_depth
from pipelines.components.live_cameras import CameraPipeline
from pipelines.components.publisher import add_publisher
from pipelines.components.web import Web
from pipelines.live import CAMERAS_MAY_COME, LiveSettings
from stream.core.view_controls import ViewControls
from stream.inference.open import estimator_for
from stream.runtime.pipeline import chain
from stream.settings import Camera, PublishSettings, WebSettings
from stream.sinks.video_file import Recorder
from stream.stages.publish import publish
from stream.stages.render import render

IMAGES = "images"
"""Name of the only stage without cameras; it waits for the end."""


class ServeSettings(LiveSettings):
    """Depth in the browser, and an HTTP service for images."""

    pipeline: Literal["serve"]
    cameras: tuple[Camera, ...] = Field(
        default=(), description="one [[cameras]] table per camera; none: the image service only"
    )
    publish: PublishSettings | None = Field(default=None, description="also publish depth over ZeroMQ; unset: no")
    web: WebSettings = WebSettings()

    @model_validator(mode="after")
    def _there_is_something_to_serve(self, info: ValidationInfo) -> ServeSettings:
        if self.cameras or (info.context or {}).get(CAMERAS_MAY_COME):
            return self
        if not self.web.images:
            raise ValueError("nothing to serve: give [[cameras]], or web.images = true")
        for name in ("publish", "record"):
            if getattr(self, name) is not None:
                raise ValueError(f"[{name}] has nothing to work with: give [[cameras]], or leave it out")
        return self


def build(settings: ServeSettings, web: Web | None = None, *, cameras_may_come: bool = False) -> CameraPipeline:
    """Build the pipeline. Viewers do not slow it: it keeps the newest view of each camera, encoded only for viewers.

    Without a camera it has the image service only, unless ``cameras_may_come``.
    """
    web = web or web_for(settings)
    pipe = CameraPipeline("serve")
    if not settings.cameras and not cameras_may_come:
        pipe.source(IMAGES, until_stopped)
        return pipe
    cameras = pipe.add_cameras(settings.cameras)
    web.follow(pipe)
    depth = add_depth(pipe, estimator_for(settings.model), cameras, policy="latest", steady=settings.steady)
    paint = render(settings.render, web.controls)
    pipe.stage("show", chain(render=paint, show=publish(web.sink)), after=[depth], policy="latest")
    if settings.record:
        # Painted apart from the page, whose viewers may change colours and range at any time.
        steps = chain(render=render(settings.render), record=publish(Recorder(settings.record)))
        pipe.stage("record", steps, after=[depth], policy="latest")
    if settings.publish:
        add_publisher(pipe, depth, settings.publish, settings.render, settings.cameras)
    return pipe


def web_for(settings: ServeSettings) -> Web:
    """The web part, not opened yet; pass the same one to ``build`` and to the code that serves it."""
    names = [camera.name for camera in settings.cameras]
    return Web(settings.web, settings.model, names, ViewControls(settings.render.colormap))


def until_stopped(stopping: threading.Event) -> Iterator[object]:
    """A source that yields nothing, so that a pipeline without cameras runs and ends like any other."""
    stopping.wait()
    yield from ()
