"""Flicker: what a camera on a tripod sees of a scene in which only some things move.

A rendered tour is watched by a camera that stands still, with the sensor's noise on. Static pixels are those whose true
depth is exactly that of the frame before; how far their estimated depth moves is flicker. Shadows pass over static
pixels, and moving things change what a network makes of those beside them: a viewer sees that too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stream.frames import Batch, DepthMap, Floats, Frame
from stream.metrics.fit import fitted_inverse
from stream.metrics.steadiness import UNKNOWN, Change, change, static_pixels
from stream.render.colormap import lut, paint
from stream.render.depth_range import range_for
from stream.settings import RenderSettings, SteadySettings, SyntheticCamera
from stream.sources.synthetic import SyntheticSource
from stream.stages.stabilize import Steadiness

SEEDS = (0, 1)
"""A town square and a living room."""
FPS, SECONDS = 12.0, 3.0
FRAMES = round(FPS * SECONDS) * len(SEEDS)


class Estimates(Protocol):
    """What is asked of an estimator."""

    def prepare(self, frames: list[Frame], /) -> Batch: ...

    def estimate(self, batch: Batch, /) -> list[DepthMap]: ...


@dataclass(frozen=True, slots=True)
class Flicker:
    """Of one tour; all in levels of 255."""

    seed: int
    static_share: float
    """Pixels that stand still, of all."""
    shown: Change
    """As painted: after the display range, 8 bits."""
    steadied: Change
    """As painted after ``[steady]`` (stream.stages.stabilize)."""
    fitted: Change
    """Inverse depth after each frame's own fit to what stands still in the whole clip, whose 2nd to 98th percentile
    255 levels span; NaN when the fit leaves a flat map."""


def flicker(
    estimator: Estimates, on_frame: Callable[[], object] = lambda: None, seconds: float = SECONDS
) -> Iterator[Flicker]:
    """Each tour in turn; ``on_frame`` is called after every frame."""
    for seed in SEEDS:
        camera = SyntheticCamera(source="synthetic", seed=seed, fps=FPS, seconds=seconds, pace="fast", still=True)
        with SyntheticSource(camera) as source:
            maps = []
            for frame in source.frames(threading.Event()):
                maps += estimator.estimate(estimator.prepare([frame]))
                on_frame()
        yield _flicker_of(maps, seed)


def _flicker_of(maps: list[DepthMap], seed: int) -> Flicker:
    truths = [_truth(depth_map) for depth_map in maps]
    static = static_pixels(truths)
    # one target for all frames: fitted to a truth that moves, even a map that stands still would seem to flicker
    lasting = np.where(np.all(static, axis=0), truths[0], np.float32(np.nan))
    low, high = np.nanpercentile(1.0 / lasting, (2, 98))
    share = float(np.mean([mask.mean() for mask in static]))
    shown = list(_painted(maps))
    fitted = [255.0 / (high - low) * fitted_inverse(m.depth, lasting, m.kind) for m in maps]
    flat = any(float(np.ptp(levels)) == 0.0 for levels in fitted)  # the fit found no positive scale: nothing can move
    steady = list(_painted(Steadiness(SteadySettings()).body()(maps)))
    return Flicker(
        seed, share, change(shown, static), change(steady, static), UNKNOWN if flat else change(fitted, static)
    )


def _painted(maps: Iterable[DepthMap]) -> Iterator[Floats]:
    """(H, W) float32: the number of the colour that each pixel gets."""
    depth_range, gray = range_for(RenderSettings()), lut("gray")
    for depth_map in maps:
        low, high = depth_range.update(depth_map.depth, depth_map.frame.image, depth_map.frame.stamp)
        yield paint(depth_map.depth, low, high, gray)[..., 0].astype(np.float32)


def _truth(depth_map: DepthMap) -> Floats:
    assert depth_map.frame.truth is not None, "a synthetic camera knows its depth"
    return depth_map.frame.truth
