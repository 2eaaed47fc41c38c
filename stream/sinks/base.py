"""What every sink offers: something that depth is written to."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

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
