"""Numbering: ``seq`` of a camera goes on rising when another source takes the camera's place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from stream.frames import Dropped, Frame
from stream.runtime.worker import Body
from stream.sources.base import closing_frames


class Numbering:
    """The numbers of one camera's frames over all sources that deliver it, one after the other."""

    def __init__(self) -> None:
        self._next = 0

    def continued(self, source: Body) -> Body:
        """Yield the items of ``source`` with numbers that follow those of the source before it, which has ended."""

        def body(stopping: threading.Event) -> Iterator[Frame | Dropped]:
            first = self._next
            with closing_frames(source(stopping)) as items:
                for item in items:
                    renumbered = _numbered_from(first, item) if first else item
                    self._next = max(self._next, *(frame.seq + 1 for frame in renumbered.frames))
                    yield renumbered

        return body


def _numbered_from(first: int, item: Frame | Dropped) -> Frame | Dropped:
    if isinstance(item, Frame):
        return replace(item, seq=first + item.seq)
    return replace(item, frames=tuple(replace(frame, seq=first + frame.seq) for frame in item.frames))
