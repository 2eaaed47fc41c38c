"""The two ways to lay preprocessing and the network out over threads (settings: model.layout)."""

from __future__ import annotations

from collections.abc import Sequence

from stream.channel import Policy
from stream.estimator import Estimator
from stream.frames import Size
from stream.pipeline import Pipeline, chain
from stream.stages.infer import infer
from stream.stages.preprocess import preprocess
from stream.worker import Worker


def add_depth(
    pipe: Pipeline, estimator: Estimator, after: Sequence[Worker], policy: Policy, *, expect: Sequence[Size] = ()
) -> Worker:
    """Frames to depth maps: in one thread ("latency"), or in two with a queue of one between them ("throughput").

    ``expect``: picture sizes that will come, so that the network is ready for them before the first is captured.
    """
    pipe.add_figures("network", estimator.figures)
    pipe.add_note(estimator.describe)
    if estimator.settings.layout == "latency":
        steps = chain(preprocess=preprocess(estimator), infer=infer(estimator, expect))
        return pipe.stage("depth", steps, after=after, policy=policy)
    batches = pipe.stage("preprocess", preprocess(estimator), after=after, policy=policy)
    return pipe.stage("infer", infer(estimator, expect), after=[batches])
