"""What every sink offers: something that depth is written to."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol, Self, TypeVar

from stream.errors import SinkError

T = TypeVar("T", contravariant=True)


class Sink(Protocol[T]):
    """Opened by ``with``, written from one thread.

    Leaving the ``with`` block finishes what was written, also after an error: a file appears under its final name only
    when it is whole. ``write`` raises SinkError when the item could not be written; what was written before stays
    valid.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def write(self, item: T) -> None: ...


_log = logging.getLogger(__name__)


class Unfinished(Protocol):
    """A file that is whole after ``finish``, which raises SinkError."""

    def finish(self) -> None: ...


def finish_all(files: Iterable[Unfinished], error: object) -> None:
    """Finish every file. Raises the first SinkError, unless an ``error`` is on its way already; that one says more."""
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
