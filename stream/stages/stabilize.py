"""Steady: relative depth keeps its scale and shift from one frame of a camera to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from stream.core.clock import Stamp
from stream.frames import DepthMap, Floats, Size
from stream.runtime.worker import Body
from stream.settings import SteadySettings
from stream.temporal.alignment import NONE, Alignment, align
from stream.temporal.flicker import FlickerIndex
from stream.temporal.sample import Sample, grid_of
from stream.temporal.scene_cut import CutDetector


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The frame before."""

    sample: Sample
    aligned: Floats
    """(n,) its depth as it was passed on."""
    size: Size
    """Of its depth map: samples of two sizes are of different places."""
    model: str
    stamp: Stamp


class Camera:
    """One camera's memory."""

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._cuts, self._seen = CutDetector(), None  # type: tuple[CutDetector, Seen | None]
        self.raw, self.steady = FlickerIndex(), FlickerIndex()

    def __call__(self, depth_map: DepthMap) -> DepthMap:
        """The map in the scale of those before; metres are left as they are, and only looked at."""
        frame, before = depth_map.frame, self._seen
        now = grid_of(depth_map.depth, frame.image)
        cut = self._cuts.is_cut(frame.image)
        found = NONE
        if before is not None and not cut and (before.model, before.size) == (depth_map.model, depth_map.size):
            if depth_map.kind != "metric":
                found = self._found(now, before, frame.stamp)
            self.raw.add(before.sample, now, before.sample.depth, now.depth)
            self.steady.add(before.sample, now, before.aligned, found(now.depth))
        self._seen = Seen(now, found(now.depth), depth_map.size, depth_map.model, frame.stamp)
        if found is NONE:
            return depth_map
        return replace(depth_map, depth=found(depth_map.depth), raw=depth_map.depth)

    def _found(self, now: Sample, before: Seen, stamp: Stamp) -> Alignment:
        fit = align(now, before.sample, before.aligned)
        share = 1.0 - 0.5 ** (stamp.seconds_after(before.stamp) / self._half_life_s)
        return NONE if fit is None else fit.relaxed(share)


class Steadiness:
    """All cameras of a pipeline."""

    def __init__(self, settings: SteadySettings) -> None:
        self._settings = settings
        self._cameras: dict[str, Camera] = {}

    def body(self) -> Body:
        """The stage."""

        def body(maps: Iterable[DepthMap]) -> Iterator[DepthMap]:
            for depth_map in maps:
                yield self._camera(depth_map.frame.camera)(depth_map)

        return body

    def statistics(self) -> Mapping[str, float]:
        """For a pipeline's table: the flicker index of each camera, in levels of 255, before and after."""
        told: dict[str, float] = {}
        for name, camera in list(self._cameras.items()):
            told |= {f"{name} raw": camera.raw.level, f"{name} steady": camera.steady.level}
        return told

    def _camera(self, name: str) -> Camera:
        if name not in self._cameras:
            self._cameras[name] = Camera(self._settings.half_life_s)
        return self._cameras[name]
