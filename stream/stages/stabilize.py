"""Stabilize: keep the scale and shift of relative depth from one frame of a camera to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from stream.core.clock import Stamp
from stream.frames import DepthMap, Floats, Size
from stream.runtime.worker import Body, ReleasingBody
from stream.settings import SteadySettings
from stream.temporal.alignment import IDENTITY, Alignment, align
from stream.temporal.flicker import FlickerIndex
from stream.temporal.sample import Sample, sample_grid
from stream.temporal.scene_cut import CutDetector


class Stabilizer:
    """Temporal stabilisation for all cameras of a pipeline."""

    def __init__(self, settings: SteadySettings) -> None:
        self._settings = settings
        self._cameras: dict[str, CameraStabilizer] = {}

    def body(self) -> Body:
        """The stage: takes and yields depth maps."""

        def body(maps: Iterable[DepthMap]) -> Iterator[DepthMap]:
            for depth_map in maps:
                yield self._camera(depth_map.frame.camera)(depth_map)

        return ReleasingBody(body, self.release)

    def release(self, camera: str) -> None:
        """Forget the camera's previous frame and its flicker."""
        self._cameras.pop(camera, None)

    def statistics(self) -> Mapping[str, float]:
        """For a pipeline's table: flicker of each camera before and after, in 255ths of the depth range."""
        levels: dict[str, float] = {}
        for name, camera in list(self._cameras.items()):  # a copy: the stage adds cameras meanwhile
            levels |= {f"{name} raw": camera.raw.level, f"{name} steady": camera.steady.level}
        return levels

    def _camera(self, name: str) -> CameraStabilizer:
        if name not in self._cameras:
            self._cameras[name] = CameraStabilizer(self._settings.half_life_s)
        return self._cameras[name]


class CameraStabilizer:
    """Temporal stabilisation for one camera; remembers the previous frame."""

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._cuts = CutDetector()
        self._previous: _PreviousFrame | None = None
        self.raw, self.steady = FlickerIndex(), FlickerIndex()

    def __call__(self, depth_map: DepthMap) -> DepthMap:
        """The map aligned to the previous ones; metric depth is returned as it is, and only its flicker is measured."""
        frame, previous = depth_map.frame, self._previous
        now = sample_grid(depth_map.depth, frame.image)
        cut = self._cuts.is_cut(frame.image)
        alignment = IDENTITY
        # Another network or another image size starts anew, as a scene cut does.
        if previous is not None and not cut and (previous.model, previous.size) == (depth_map.model, depth_map.size):
            if depth_map.kind != "metric":  # a rescaled metre would be wrong
                alignment = self._align(now, previous, frame.stamp)
            self.raw.add(previous.sample, now, previous.sample.depth, now.depth)
            self.steady.add(previous.sample, now, previous.aligned, alignment(now.depth))
        self._previous = _PreviousFrame(now, alignment(now.depth), depth_map.size, depth_map.model, frame.stamp)
        if alignment is IDENTITY:
            return depth_map
        return replace(depth_map, depth=alignment(depth_map.depth), raw=depth_map.depth)

    def _align(self, now: Sample, previous: _PreviousFrame, stamp: Stamp) -> Alignment:
        fit = align(now, previous.sample, previous.aligned)
        # Let a lasting change through with the half-life, whatever the time between two frames.
        share = 1.0 - 0.5 ** (stamp.seconds_after(previous.stamp) / self._half_life_s)
        return IDENTITY if fit is None else fit.relaxed(share)


@dataclass(frozen=True, slots=True, eq=False)
class _PreviousFrame:
    sample: Sample
    aligned: Floats
    """(n,) float32, the sample's depth after alignment."""
    size: Size
    """Size of the depth map: samples of maps of different size show different places."""
    model: str
    """Name of the network: depth of two networks is not aligned."""
    stamp: Stamp
