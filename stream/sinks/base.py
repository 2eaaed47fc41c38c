"""The interface of a sink, to which views or depth maps are written, and the common end of file sinks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol, Self, TypeVar

from stream.errors import SinkError

T = TypeVar("T", contravariant=True)

_log = logging.getLogger(__name__)


class Sink(Protocol[T]):
    """Destination opened by ``with`` and written from one thread.

    Leaving the ``with`` block finishes the output, also after an error: a file appears under its final name only when
    it is whole. ``write`` raises SinkError if the item could not be written; everything written before stays valid.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def write(self, item: T) -> None: ...


class Unfinished(Protocol):
    """A file that is complete after ``finish``; that may raise SinkError."""

    def finish(self) -> None: ...


def finish_all(files: Iterable[Unfinished], error: object) -> None:
    """Finish every file, for ``__exit__``.

    Raises the first SinkError, unless ``error`` shows that an exception is already propagating: that one is the cause,
    so the failures are only logged.
    """
    failures: list[SinkError] = []
    for file in files:
        try:
            file.finish()
        except SinkError as failed:
            failures.append(failed)
    for failure in failures[1:] if error is None else failures:
        _log.warning("%s", failure)
    if failures and error is None:
        raise failures[0]
