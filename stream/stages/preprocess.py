"""Preprocess: turn frames into network input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.frames import Batch, Frame
from stream.inference.estimator import Estimator
from stream.runtime.worker import Body, greedy_batches


def preprocess(estimator: Estimator) -> Body:
    """Collect frames greedily, at most ``max_batch`` within ``grace_ms``, and make one batch per network size."""
    settings = estimator.settings

    def body(frames: Iterable[Frame]) -> Iterator[Batch]:
        for waiting in greedy_batches(frames, settings.max_batch, settings.grace_ms / 1e3):
            yield from estimator.batches(waiting)

    return body
