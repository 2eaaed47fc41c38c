"""Infer: network input becomes depth."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from stream.frames import Batch, DepthMap, Size
from stream.inference.estimator import Estimator
from stream.runtime.worker import Body


def infer(estimator: Estimator, expect: Sequence[Size] = ()) -> Body:
    """Load the network, and compile it for images of the sizes ``expect``, before the first frame is asked for.

    Depth comes out in the order in which batches went in, also where several are in the network at once. Whoever made
    the estimator closes it.
    """

    def body(batches: Iterable[Batch]) -> Iterator[DepthMap]:
        estimator.load(expect)
        if estimator.lanes == 1:
            for batch in batches:
                yield from estimator.estimate(batch)
        else:
            yield from _side_by_side(estimator, batches)

    return body


def _side_by_side(estimator: Estimator, batches: Iterable[Batch]) -> Iterator[DepthMap]:
    """One batch a lane, and one that waits, so that a lane that is done goes on at once."""
    pool = ThreadPoolExecutor(estimator.lanes, thread_name_prefix="infer")
    running: deque[Future[list[DepthMap]]] = deque()
    try:
        for batch in batches:
            running.append(pool.submit(estimator.estimate, batch))
            if len(running) > estimator.lanes:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
