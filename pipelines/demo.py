"""Demo: a rendered scene through the whole live pipeline; writes image, depth and true depth side by side to an mp4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from pipelines.components.cameras import open_source
from pipelines.components.depth import add_depth
from pipelines.components.publisher import add_publisher
from pipelines.components.scoring import RunningScore, score
from pipelines.components.window import Preview
from stream.core.view_controls import ViewControls
from stream.frames import Size, View
from stream.inference.open import estimator_for
from stream.render.colormap import lut, paint
from stream.render.depth_range import range_for
from stream.render.panels import side_by_side
from stream.runtime.pipeline import Pipeline, chain
from stream.runtime.worker import Body
from stream.settings import (
    ModelSettings,
    PublishSettings,
    RecordSettings,
    RenderSettings,
    Settings,
    SteadySettings,
    SyntheticCamera,
)
from stream.sinks.video_file import Recorder
from stream.stages.capture import capture
from stream.stages.publish import publish
from stream.stages.render import render

if TYPE_CHECKING:
    from pipelines.components.web import Web


class DemoSettings(Settings):
    """The live pipeline with a rendered scene, whose true depth is known, in place of a camera."""

    pipeline: Literal["demo"]
    camera: SyntheticCamera = SyntheticCamera(source="synthetic")
    model: ModelSettings = ModelSettings()
    steady: SteadySettings | None = Field(default=None, description="temporal stabilisation; unset: none")
    render: RenderSettings = RenderSettings()
    record: RecordSettings = RecordSettings(path="demo.mp4")
    publish: PublishSettings | None = Field(default=None, description="also publish depth over ZeroMQ; unset: no")


def build(settings: DemoSettings, preview: Preview | None = None, web: Web | None = None) -> Pipeline:
    """Build the pipeline. It drops frames in two places only: before the network and before the sink."""
    running, size = RunningScore(), Size(settings.camera.height, settings.camera.width)
    viewer = preview or web
    controls = viewer.controls if viewer else ViewControls(settings.render.colormap)
    pipe = Pipeline("demo")
    camera = pipe.source("capture", capture(open_source(settings.camera)))
    depth = add_depth(
        pipe, estimator_for(settings.model), [camera], policy="latest", expect=[size], steady=settings.steady
    )
    steps = chain(
        score=score(running),
        render=render(settings.render, controls),
        **({"web": publish(web.sink)} if web else {}),  # before compose: the page mixes image and depth itself
        compose=compose(settings.render, controls),
        record=publish(Recorder(settings.record), *([preview.sink] if preview else [])),
    )
    pipe.stage("show", steps, after=[depth], policy="drop_oldest")  # one camera: no other's view is displaced
    pipe.add_statistics("depth vs ground truth", running.statistics)
    if settings.publish:
        add_publisher(pipe, depth, settings.publish, settings.render, [settings.camera])
    return pipe


def compose(settings: RenderSettings, controls: ViewControls) -> Body:
    """Put the image, its depth and its true depth side by side.

    The true depth is painted as inverse depth, because that is what the network estimates.
    """

    def body(views: Iterable[View]) -> Iterator[View]:
        true_range = range_for(settings)
        for view in views:
            depth_map, frame = view.depth_map, view.depth_map.frame
            panels = [("image", frame.image), (f"depth ({depth_map.model})", view.image)]
            if frame.ground_truth is not None:
                inverse = (1.0 / frame.ground_truth).astype(np.float32)
                low, high = true_range.update(inverse, frame.image, frame.stamp)
                panels.append(("true depth", paint(inverse, low, high, lut(controls.colormap))))
            yield replace(view, image=side_by_side(panels))

    return body
