"""Preprocess: frames become network input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.estimator import Estimator
from stream.frames import Batch, Frame
from stream.worker import Body


def preprocess(estimator: Estimator) -> Body:
    """One batch a frame: on a CPU a larger batch saves nothing and costs latency."""

    def body(frames: Iterable[Frame]) -> Iterator[Batch]:
        for frame in frames:
            yield estimator.prepare([frame])

    return body
