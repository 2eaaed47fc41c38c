"""Infer: network input becomes depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stream.estimator import Estimator
from stream.frames import Batch, DepthMap, Size
from stream.worker import Body


def infer(estimator: Estimator, expect: Sequence[Size] = ()) -> Body:
    """Load the network, and compile it for pictures of the sizes ``expect``, before the first frame is asked for.

    Whoever made the estimator closes it.
    """

    def body(batches: Iterable[Batch]) -> Iterator[DepthMap]:
        estimator.load(expect)
        for batch in batches:
            yield from estimator.estimate(batch)

    return body
