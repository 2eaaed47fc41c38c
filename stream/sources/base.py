"""The interface that every source offers; pipelines know nothing else about a camera."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Protocol, Self, TypeVar

from stream.frames import Frame

T = TypeVar("T")


class Source(Protocol):
    """A camera, file or scene: opened by ``with``, read once from one thread.

    ``__enter__`` raises SourceError when the source cannot be opened. ``frames`` ends soon after ``stopping`` is set
    and raises SourceError when the source ended abnormally (a truncated file); frames yielded before that are good.
    Sources never retry by themselves.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def frames(self, stopping: threading.Event) -> Iterator[Frame]: ...

    def describe(self) -> str:
        """One line for people with the kind and address, and the size and rate if known; never a password."""
        ...


@contextmanager
def closing_frames(frames: Iterator[T]) -> Iterator[Iterator[T]]:
    """Close ``frames`` at the end if it is a generator; other iterators have nothing to close."""
    try:
        yield frames
    finally:
        if isinstance(frames, Generator):
            frames.close()
