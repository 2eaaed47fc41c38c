"""How much a map moves where nothing moved: the figure for flicker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Change:
    """Mean absolute change of static pixels from one frame to the next."""

    mean: float
    """Over all pairs of frames, in the unit of the maps."""
    worst: float
    """Of the worst pair."""


UNKNOWN = Change(float("nan"), float("nan"))


def change(maps: Sequence[NDArray[np.floating]], static: Sequence[Mask]) -> Change:
    """Of N maps (H, W) and the N - 1 masks of what stands still between them; NaN when nothing does."""
    moved = list(_changes(maps, static))
    return Change(float(np.mean(moved)), max(moved)) if moved else UNKNOWN


def static_pixels(truths: Sequence[NDArray[np.floating]]) -> list[Mask]:
    """For N true depth maps of a camera that stands still: where the depth is exactly that of the frame before."""
    return [np.asarray(before == after) for before, after in pairwise(truths)]


def _changes(maps: Sequence[NDArray[np.floating]], static: Sequence[Mask]) -> Iterator[float]:
    for (before, after), still in zip(pairwise(maps), static, strict=True):
        if still.any():
            yield float(np.abs(after[still].astype(np.float64) - before[still]).mean())
