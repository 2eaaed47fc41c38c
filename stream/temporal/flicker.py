"""Flicker index: how much depth changes where the image does not. It needs no ground truth."""

from __future__ import annotations

import numpy as np

from stream.frames import Floats
from stream.temporal.sample import Sample

STILL_LEVELS = 4.0
"""Largest change of brightness, gray levels of 255, of a still pixel; camera noise stays below it."""
LEVELS = 255.0
PERCENTILES = (2.0, 98.0)
"""Ends of the depth range; outliers do not stretch it."""
MIN_STILL_PX = 64
NEW_WEIGHT = 0.05
"""Weight of a new frame in the running mean, which covers about the last 20 frames."""


class FlickerIndex:
    """Mean change of still pixels from frame to frame, in 255ths of the earlier frame's depth range."""

    def __init__(self) -> None:
        self.level = float("nan")
        """The running mean; NaN until two frames have shared still pixels."""

    def add(self, before: Sample, now: Sample, depth_before: Floats, depth_now: Floats) -> None:
        """Add the step between two frames; their depth, (n,) float32, may be raw or stabilised."""
        still = np.abs(now.gray - before.gray) <= STILL_LEVELS
        still &= np.isfinite(depth_before) & np.isfinite(depth_now)
        if still.sum() < MIN_STILL_PX:
            return
        low, high = np.percentile(depth_before[np.isfinite(depth_before)], PERCENTILES)
        if not high > low:  # a flat map has no range to measure in
            return
        moved = LEVELS / float(high - low) * float(np.abs(depth_now[still] - depth_before[still]).mean())
        self.level = moved if np.isnan(self.level) else self.level + NEW_WEIGHT * (moved - self.level)
