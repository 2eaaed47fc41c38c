"""Temporal consistency: how much depth maps or their colours change where the scene does not (flicker)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Change:
    """Mean absolute change of static pixels from one frame to the next, in the unit of the maps."""

    mean: float
    """Mean over all pairs of frames."""
    worst: float
    """Change of the worst pair."""


UNKNOWN = Change(float("nan"), float("nan"))
"""The result where nothing is static."""


def change(maps: Sequence[NDArray[np.floating]], static: Sequence[Mask]) -> Change:
    """The change of N maps (H, W), given N - 1 masks of the pixels that are static between neighbours.

    Returns UNKNOWN when no pixel is static.
    """
    changes = list(_changes(maps, static))
    return Change(float(np.mean(changes)), max(changes)) if changes else UNKNOWN


def static_pixels(ground_truths: Sequence[NDArray[np.floating]]) -> list[Mask]:
    """N - 1 masks (H, W) of the pixels whose true depth equals that of the frame before, for a camera at rest."""
    return [np.asarray(before == after) for before, after in pairwise(ground_truths)]


def _changes(maps: Sequence[NDArray[np.floating]], static: Sequence[Mask]) -> Iterator[float]:
    for (before, after), static_mask in zip(pairwise(maps), static, strict=True):
        if static_mask.any():
            yield float(np.abs(after[static_mask].astype(np.float64) - before[static_mask]).mean())
