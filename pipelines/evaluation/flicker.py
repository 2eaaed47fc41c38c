"""Flicker: how much the depth of static pixels changes from frame to frame.

A camera on a tripod, with sensor noise, watches a rendered scene in which only some things move. Static pixels are
those whose ground-truth depth equals that of the previous frame exactly. Shadows pass over static pixels, and moving
objects change the network's estimate for their neighbours; both count as flicker, because a viewer sees them too.
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
from stream.stages.stabilize import Stabilizer

SEEDS = (0, 1)
"""Tours 0 and 1: a town square and a living room."""
FPS, SECONDS = 12.0, 3.0
FRAMES = round(FPS * SECONDS) * len(SEEDS)
"""Frames of all tours together."""


class FrameEstimator(Protocol):
    """The two methods of an estimator that flicker needs."""

    def prepare(self, frames: list[Frame], /) -> Batch: ...

    def estimate(self, batch: Batch, /) -> list[DepthMap]: ...


@dataclass(frozen=True, slots=True)
class Flicker:
    """The flicker of one tour; changes are in levels of 255."""

    seed: int
    static_share: float
    """Share of static pixels, 0..1."""
    shown: Change
    """Depth as it is painted: after the display range, in 8 bits."""
    steadied: Change
    """Depth as it is painted after ``[steady]`` (stream.stages.stabilize)."""
    fitted: Change
    """Inverse depth, each frame fitted to the pixels that are static in the whole clip. 255 levels span the 2nd to 98th
    percentile of their ground truth. NaN when the fit leaves a flat map."""


def flicker(
    estimator: FrameEstimator, on_frame: Callable[[], object] = lambda: None, seconds: float = SECONDS
) -> Iterator[Flicker]:
    """The flicker of each tour in turn; ``on_frame`` is called after every frame."""
    for seed in SEEDS:
        camera = SyntheticCamera(source="synthetic", seed=seed, fps=FPS, seconds=seconds, pace="fast", still=True)
        with SyntheticSource(camera) as source:
            maps = []
            for frame in source.frames(threading.Event()):
                maps += estimator.estimate(estimator.prepare([frame]))
                on_frame()
        yield _flicker_of(maps, seed)


def _flicker_of(maps: list[DepthMap], seed: int) -> Flicker:
    ground_truths = [_ground_truth(depth_map) for depth_map in maps]
    static = static_pixels(ground_truths)
    # one target for all frames: fitted to a ground truth that moves, even a constant map would seem to flicker
    lasting = np.where(np.all(static, axis=0), ground_truths[0], np.float32(np.nan))
    low, high = np.nanpercentile(1.0 / lasting, (2, 98))
    share = float(np.mean([mask.mean() for mask in static]))
    shown = list(_painted(maps))
    fitted = [255.0 / (high - low) * fitted_inverse(m.depth, lasting, m.kind) for m in maps]
    flat = any(float(np.ptp(levels)) == 0.0 for levels in fitted)  # the fit found no positive scale: nothing can move
    steady = list(_painted(Stabilizer(SteadySettings()).body()(maps)))
    return Flicker(
        seed, share, change(shown, static), change(steady, static), UNKNOWN if flat else change(fitted, static)
    )


def _painted(maps: Iterable[DepthMap]) -> Iterator[Floats]:
    """For each map an (H, W) float32 array with the palette index, 0..255, of every pixel."""
    depth_range, gray = range_for(RenderSettings()), lut("gray")
    for depth_map in maps:
        low, high = depth_range.update(depth_map.depth, depth_map.frame.image, depth_map.frame.stamp)
        yield paint(depth_map.depth, low, high, gray)[..., 0].astype(np.float32)


def _ground_truth(depth_map: DepthMap) -> Floats:
    assert depth_map.frame.ground_truth is not None, "a synthetic camera knows its depth"
    return depth_map.frame.ground_truth
