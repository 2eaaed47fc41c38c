"""Add preprocessing and the network to a pipeline, in one thread or in two (setting ``model.layout``)."""

from __future__ import annotations

from collections.abc import Sequence

from stream.frames import Size
from stream.inference.estimator import Estimator
from stream.runtime.channel import Policy
from stream.runtime.pipeline import Pipeline, chain
from stream.runtime.worker import Body, Worker
from stream.settings import SteadySettings
from stream.stages.infer import infer
from stream.stages.preprocess import preprocess
from stream.stages.stabilize import Stabilizer

FLICKER = "flicker"
"""Heading of the stabiliser's statistics."""


def add_depth(
    pipe: Pipeline,
    estimator: Estimator,
    after: Sequence[Worker],
    policy: Policy,
    *,
    expect: Sequence[Size] = (),
    steady: SteadySettings | None = None,
) -> Worker:
    """Add the stages that turn frames into depth maps; return the last one.

    Layout "latency" is one thread, "throughput" two with a channel of capacity one between them. ``expect`` lists image
    sizes for which the network is compiled before the first frame is captured.
    """
    pipe.add_statistics("network", estimator.statistics)
    pipe.add_note(estimator.describe)
    depth: dict[str, Body] = {"infer": infer(estimator, expect)}
    if steady is not None:
        stabilizer = Stabilizer(steady)
        pipe.add_statistics(FLICKER, stabilizer.statistics)
        depth["steady"] = stabilizer.body()
    if estimator.settings.layout == "latency":
        return pipe.stage("depth", chain(preprocess=preprocess(estimator), **depth), after=after, policy=policy)
    batches = pipe.stage("preprocess", preprocess(estimator), after=after, policy=policy)
    # The default policy blocks: frames are dropped before preprocessing, where the work on them has not begun.
    return pipe.stage("infer", chain(**depth), after=[batches])
