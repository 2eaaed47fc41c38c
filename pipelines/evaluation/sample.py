"""One image with its ground truth, and the interface of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from stream.frames import Floats, Image


@dataclass(frozen=True, slots=True)
class Sample:
    """One image, and its ground truth if it has one."""

    name: str
    """Unique in its data set."""
    group: str
    """The kind of image, such as the family of scenes; the data set's name if it has only one kind."""
    image: Image
    """(H, W, 3) uint8 BGR."""
    ground_truth: Floats | None
    """(H, W) float32, metres along the optical axis; NaN where unknown, +inf for sky. None without ground truth."""


class DataSet(Protocol):
    """A sized iterable of samples that yields the same ones in the same order every time."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str:
        """One line on where the images come from, enough to get the same ones again."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...
