"""Preprocess: frames become network input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.estimator import Estimator
from stream.frames import Batch, Frame, Size
from stream.worker import Body, greedy


def preprocess(estimator: Estimator) -> Body:
    """Greedy batches: what waits, at most ``max_batch``, and what comes within the grace; one a network size."""
    settings = estimator.settings

    def body(frames: Iterable[Frame]) -> Iterator[Batch]:
        for waiting in greedy(frames, settings.max_batch, settings.grace_ms / 1e3):
            by_size: dict[Size, list[Frame]] = {}
            for frame in waiting:
                by_size.setdefault(estimator.network_size(frame.size), []).append(frame)
            for together in by_size.values():
                yield estimator.prepare(together)

    return body
