"""Publish: results leave the pipeline through a sink."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TypeVar

from stream.runtime.worker import Body
from stream.sinks.base import Sink

T = TypeVar("T")


def publish(*sinks: Sink[T]) -> Body:
    """Write every item to every sink; what is passed on has been written."""

    def body(items: Iterable[T]) -> Iterator[T]:
        with ExitStack() as stack:
            for sink in sinks:
                stack.enter_context(sink)
            for item in items:
                for sink in sinks:
                    sink.write(item)
                yield item

    return body
