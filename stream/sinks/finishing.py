"""The end of a sink that writes several files: each is finished, and what went wrong is told once."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from stream.errors import SinkError

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
