"""An image, mostly one whose depth is known, and what every data set offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from stream.frames import Floats, Image


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and its truth, where there is one."""

    name: str
    """Unique in its data set."""
    group: str
    """What kind of image it is; the data set's name where there is only one kind."""
    image: Image
    """(H, W, 3) uint8 BGR."""
    truth: Floats | None
    """(H, W) float32, metres along the optical axis; NaN where unknown, +inf for sky. None: nothing is known."""


class DataSet(Protocol):
    """Images one at a time, the same ones in the same order every time."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str:
        """Where the images come from, in one line: enough to get the same ones again."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...
