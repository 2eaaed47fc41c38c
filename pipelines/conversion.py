"""Conversion: write the depth of every frame of one input to files; ``depthstream depth`` runs it for each input."""

from __future__ import annotations

from pipelines.components.depth import add_depth
from stream.frames import View
from stream.inference.estimator import Estimator
from stream.runtime.pipeline import Pipeline
from stream.settings import IntrinsicsSettings, RenderSettings
from stream.sinks.base import Sink
from stream.sources.base import Source
from stream.stages.capture import capture
from stream.stages.intrinsics import with_intrinsics
from stream.stages.publish import publish
from stream.stages.render import render


def build(
    source: Source,
    estimator: Estimator,
    settings: RenderSettings,
    *sinks: Sink[View],
    optics: IntrinsicsSettings | None = None,
) -> Pipeline:
    """Build a pipeline that drops no frame and keeps their order; the slowest stage sets the pace.

    ``optics`` is the camera's lens, if known.
    """
    pipe = Pipeline("depth", stop_timeout_s=30.0)
    images = capture(source)
    frames = pipe.source("capture", with_intrinsics(images, optics) if optics else images)
    depth = add_depth(pipe, estimator, [frames], policy="block")
    views = pipe.stage("render", render(settings), after=[depth], capacity=2)
    pipe.stage("write", publish(*sinks), after=[views], capacity=2)
    return pipe
