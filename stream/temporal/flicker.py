"""How much depth moves where the image does not: a figure that needs no truth."""

from __future__ import annotations

import numpy as np

from stream.frames import Floats
from stream.temporal.sample import Sample

STILL_LEVELS = 4.0
"""A pixel whose brightness changed by no more has stood still, noise apart."""
LEVELS = 255.0
PERCENTILES = (2.0, 98.0)
FEWEST_PX = 64
WEIGHT = 0.05
"""Of a new frame in the running mean: about the last 20 count."""


class FlickerIndex:
    """Mean change of still pixels from frame to frame, in 255ths of the depth range of the first of the two."""

    def __init__(self) -> None:
        self.level = float("nan")
        """The running mean; NaN before anything stood still."""

    def add(self, before: Sample, now: Sample, depth_before: Floats, depth_now: Floats) -> None:
        """Depth (n,) of two samples, as it is published or as the network said it."""
        still = np.abs(now.gray - before.gray) <= STILL_LEVELS
        still &= np.isfinite(depth_before) & np.isfinite(depth_now)
        if still.sum() < FEWEST_PX:
            return
        low, high = np.percentile(depth_before[np.isfinite(depth_before)], PERCENTILES)
        if not high > low:
            return
        moved = LEVELS / float(high - low) * float(np.abs(depth_now[still] - depth_before[still]).mean())
        self.level = moved if np.isnan(self.level) else self.level + WEIGHT * (moved - self.level)
