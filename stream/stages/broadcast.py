"""Broadcast: send depth over ZeroMQ; previews are painted only for cameras that have a preview subscriber."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stream.frames import DepthMap, Dropped
from stream.publisher.publisher import Publisher
from stream.runtime.worker import Body, ReleasingBody
from stream.settings import RenderSettings
from stream.stages.render import Painter


def broadcast(publisher: Publisher, settings: RenderSettings, promised_fps: Mapping[str, float | None]) -> Body:
    """Send every depth map that is fresh enough; drop the others as "too old".

    ``promised_fps`` is the rate that readers of each camera may expect; None promises nothing. Every camera in it has a
    status from the start, even before its first frame. The mapping may change while the stage runs.
    """
    paint = Painter(settings)
    declared: dict[str, Mapping[str, Any]] = {}

    def release(camera: str) -> None:
        paint.release(camera)
        declared.pop(camera, None)

    def body(maps: Iterable[DepthMap]) -> Iterator[DepthMap | Dropped]:
        with publisher:
            declared.update({camera: {"fps": fps} for camera, fps in promised_fps.items()})
            for camera, info in dict(declared).items():
                publisher.declare(camera, info)
            for depth_map in maps:
                camera = depth_map.frame.camera
                info = stream_info(depth_map, promised_fps.get(camera))
                if declared.get(camera) != info:
                    publisher.declare(camera, info)
                    declared[camera] = info
                if not publisher.send_depth(depth_map):
                    yield Dropped(depth_map.frames, "too old")
                    continue
                publisher.send_raw(depth_map)
                if publisher.wants_preview(camera):
                    publisher.send_preview(paint(depth_map).image, depth_map)
                yield depth_map

    return ReleasingBody(body, release)


def stream_info(depth_map: DepthMap, promised_fps: float | None) -> dict[str, Any]:
    """The message ``info/<stream>`` (docs/reference/wire.md): sent once, and again when it changes."""
    size, intrinsics = depth_map.size, depth_map.frame.intrinsics
    lens = intrinsics.scaled_to(size) if intrinsics else None
    return {
        "model": depth_map.model,
        "kind": depth_map.kind,
        "unit": depth_map.unit,
        "weights": depth_map.weights,
        "scale_guessed": depth_map.scale_guessed,
        "width": size.width,
        "height": size.height,
        "fps": promised_fps,
        "intrinsics": {"fx": lens.fx_px, "fy": lens.fy_px, "cx": lens.cx_px, "cy": lens.cy_px} if lens else None,
    }
