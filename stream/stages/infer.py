"""Infer: network input becomes depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.estimator import Estimator
from stream.frames import Batch, DepthMap
from stream.worker import Body


def infer(estimator: Estimator) -> Body:
    """Load the network before the first frame is asked for, then estimate. Whoever made the estimator closes it."""

    def body(batches: Iterable[Batch]) -> Iterator[DepthMap]:
        estimator.load()
        for batch in batches:
            yield from estimator.estimate(batch)

    return body
