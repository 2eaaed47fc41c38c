"""Publish: write results to sinks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from stream.runtime.worker import Body, ReleasingBody, release_all
from stream.sinks.base import Sink

T = TypeVar("T")


def publish(*sinks: Sink[T]) -> Body:
    """Write every item to every sink, then yield it, so that an item counts as published only once it is written."""

    def body(items: Iterable[T]) -> Iterator[T]:
        with ExitStack() as stack:
            for sink in sinks:
                stack.enter_context(sink)
            for item in items:
                for sink in sinks:
                    sink.write(item)
                yield item

    return ReleasingBody(body, partial(release_all, sinks))
