"""Preprocess: frames become network input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.frames import Batch, Frame
from stream.inference.estimator import Estimator
from stream.runtime.worker import Body, greedy


def preprocess(estimator: Estimator) -> Body:
    """Greedy batches: what waits, at most ``max_batch``, and what comes within the grace; one a network size."""
    settings = estimator.settings

    def body(frames: Iterable[Frame]) -> Iterator[Batch]:
        for waiting in greedy(frames, settings.max_batch, settings.grace_ms / 1e3):
            yield from estimator.batches(waiting)

    return body
