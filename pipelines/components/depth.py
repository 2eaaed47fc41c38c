"""The two ways to lay preprocessing and the network out over threads (settings: model.layout)."""

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
from stream.stages.stabilize import Steadiness

FLICKER = "flicker"
"""Name of the figures of steadied depth."""


def add_depth(
    pipe: Pipeline,
    estimator: Estimator,
    after: Sequence[Worker],
    policy: Policy,
    *,
    expect: Sequence[Size] = (),
    steady: SteadySettings | None = None,
) -> Worker:
    """Frames to depth maps: in one thread ("latency"), or in two with a queue of one between them ("throughput").

    ``expect``: image sizes that will come, so that the network is ready for them before the first is captured.
    """
    pipe.add_statistics("network", estimator.statistics)
    pipe.add_note(estimator.describe)
    depth: dict[str, Body] = {"infer": infer(estimator, expect)}
    if steady is not None:
        steadiness = Steadiness(steady)
        pipe.add_statistics(FLICKER, steadiness.statistics)
        depth["steady"] = steadiness.body()
    if estimator.settings.layout == "latency":
        return pipe.stage("depth", chain(preprocess=preprocess(estimator), **depth), after=after, policy=policy)
    batches = pipe.stage("preprocess", preprocess(estimator), after=after, policy=policy)
    return pipe.stage("infer", chain(**depth), after=[batches])
