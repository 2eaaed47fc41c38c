"""The depths of the first and the last colour: a range that follows the scene without flicker.

If every frame is normalised by its own extremes, one object that enters recolours the whole image: in the worst frame
static pixels jump by 104 of 255 levels. With a half-life of 0.5 s they jump by 27, with 1 s by 15 (synthetic wall at
25 fps, as in its test). Each camera needs a range of its own.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from stream.core.clock import Stamp
from stream.frames import Floats, Image
from stream.settings import RenderSettings
from stream.temporal.scene_cut import CutDetector

SAMPLE_PX = 10_000
"""Percentiles are taken of at most this many pixels, on a regular grid."""


class DepthRange(Protocol):
    """Chooses the colour range of each frame of one camera."""

    def update(self, depth: Floats, image: Image, stamp: Stamp) -> tuple[float, float]:
        """Depths of the first and the last colour for (H, W) ``depth`` of ``image`` (H, W, 3), taken at ``stamp``."""
        ...


def range_for(settings: RenderSettings) -> DepthRange:
    """Create the range for one camera by its settings."""
    if settings.range == "fixed":
        assert settings.low is not None, "checked by RenderSettings"
        assert settings.high is not None, "checked by RenderSettings"
        return FixedRange(settings.low, settings.high)
    return SmoothRange(settings.low_percentile, settings.high_percentile, settings.half_life_s)


class FixedRange:
    """The same two depths for every frame."""

    def __init__(self, low: float, high: float) -> None:
        self._range = low, high

    def update(self, depth: Floats, image: Image, stamp: Stamp) -> tuple[float, float]:
        return self._range


class SmoothRange:
    """Percentiles of each frame, smoothed so that half of a change has been followed after ``half_life_s``.

    The weight of a frame comes from the time since the previous one (on the source's own time line if it has one, else
    the monotonic clock), so the speed does not depend on the frame rate. A scene cut or a new image size restarts the
    range, a frame without any finite depth leaves it unchanged, and time that runs backwards counts as no time.
    """

    def __init__(self, low_percentile: float, high_percentile: float, half_life_s: float) -> None:
        self._percentiles = low_percentile, high_percentile
        self._half_life_s = half_life_s
        self._range: tuple[float, float] | None = None
        self._stamp: Stamp | None = None
        self._cuts = CutDetector()

    def update(self, depth: Floats, image: Image, stamp: Stamp) -> tuple[float, float]:
        """The colour range for (H, W) ``depth`` of ``image`` (H, W, 3); (0, 1) until the first finite depth."""
        # Cuts and weight compare with the frame before, so they must also see frames without depth.
        is_cut = self._cuts.is_cut(image)
        weight = self._weight(stamp)
        percentiles = self._percentiles_of(depth)
        if percentiles is None:
            return self._range or (0.0, 1.0)
        if self._range is None or is_cut:
            self._range = percentiles
        else:
            low, high = (old + weight * (new - old) for old, new in zip(self._range, percentiles, strict=True))
            self._range = low, high
        return self._range

    def _percentiles_of(self, depth: Floats) -> tuple[float, float] | None:
        step = max(1, math.ceil(math.sqrt(depth.size / SAMPLE_PX)))
        sample = depth[::step, ::step]
        sample = sample[np.isfinite(sample)]
        if sample.size == 0:
            return None
        low, high = np.percentile(sample, self._percentiles)
        return float(low), float(high)

    def _weight(self, stamp: Stamp) -> float:
        previous, self._stamp = self._stamp, stamp
        return 0.0 if previous is None else 1.0 - 0.5 ** (stamp.seconds_after(previous) / self._half_life_s)
