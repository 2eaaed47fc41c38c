"""What every source offers; pipelines know no more of a camera than this."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol, Self

from stream.frames import Frame


class Source(Protocol):
    """A camera, file or scene: opened by ``with``, read once from one thread.

    ``__enter__`` raises SourceError when it cannot be opened. ``frames`` ends soon after ``stopping`` is set and raises
    SourceError when the source ended otherwise than it should (a truncated file); frames yielded before that are good.
    Sources do not retry by themselves.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def frames(self, stopping: threading.Event) -> Iterator[Frame]: ...

    def describe(self) -> str:
        """One line for people: what and where, size and rate where known; never a password."""
        ...
