"""Which depths get the first and the last colour: a range that follows the scene without flicker.

Normalising every frame by its own extremes lets one object that enters recolour the whole image: in the worst frame
static pixels jump by 104 of 255 levels, with a half life of 0.5 s by 27, of 1 s by 15 (synthetic wall at 25 fps, as in
its test). One range per camera; the caller keeps them apart.
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
"""Percentiles look at no more pixels than this, on a regular grid."""


class DepthRange(Protocol):
    """Gives each frame of one camera the range to paint it with."""

    def update(self, depth: Floats, image: Image, stamp: Stamp) -> tuple[float, float]:
        """Depths of the first and the last colour for (H, W) ``depth`` of ``image`` (H, W, 3), taken at ``stamp``."""
        ...


def range_for(settings: RenderSettings) -> DepthRange:
    """The range that the settings ask for; one per camera."""
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
    """Percentiles of each frame, averaged so that half of a change has been followed after ``half_life_s``.

    The weight of a frame comes from the time since the one before (the source's own time line where it has one, else
    the monotonic clock), so the speed is the same at every rate. A scene cut or another image size starts anew; a
    frame without any finite depth changes nothing; time that goes backwards counts as none.
    """

    def __init__(self, low_percentile: float, high_percentile: float, half_life_s: float) -> None:
        self._percentiles = low_percentile, high_percentile
        self._half_life_s = half_life_s
        self._range: tuple[float, float] | None = None
        self._stamp: Stamp | None = None
        self._cuts = CutDetector()

    def update(self, depth: Floats, image: Image, stamp: Stamp) -> tuple[float, float]:
        """The range to paint (H, W) ``depth`` of ``image`` (H, W, 3) with; (0, 1) before any depth was finite."""
        is_cut = self._cuts.is_cut(image)
        weight = self._weight(stamp)
        seen = self._percentiles_of(depth)
        if seen is None:
            return self._range or (0.0, 1.0)
        if self._range is None or is_cut:
            self._range = seen
        else:
            low, high = (old + weight * (new - old) for old, new in zip(self._range, seen, strict=True))
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
