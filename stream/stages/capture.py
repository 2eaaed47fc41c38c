"""Capture: a source becomes a stream of frames."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from stream.frames import Frame
from stream.sources.base import Source
from stream.worker import Body


def capture(source: Source) -> Body:
    """Open ``source`` and pass on its frames until it is over or ``stopping`` is set."""

    def body(stopping: threading.Event) -> Iterator[Frame]:
        with source:
            yield from source.frames(stopping)

    return body
