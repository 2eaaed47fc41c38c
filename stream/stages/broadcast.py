"""Broadcast: depth leaves over ZeroMQ; colours are made only for those who look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stream.frames import DepthMap, Dropped
from stream.publisher.publisher import Publisher
from stream.runtime.worker import Body
from stream.settings import RenderSettings
from stream.stages.render import Painter


def broadcast(publisher: Publisher, settings: RenderSettings, promised_fps: Mapping[str, float | None]) -> Body:
    """Send every depth map that is fresh enough; the others are dropped as "too old".

    ``promised_fps``: the rate that readers of each camera are told to expect, None: no promise. All cameras in it have
    a status from the start, also those that are not there yet.
    """

    def body(maps: Iterable[DepthMap]) -> Iterator[DepthMap | Dropped]:
        paint = Painter(settings)
        declared: dict[str, Mapping[str, Any]] = {camera: {"fps": fps} for camera, fps in promised_fps.items()}
        with publisher:
            for camera, info in declared.items():
                publisher.declare(camera, info)
            for depth_map in maps:
                camera = depth_map.frame.camera
                info = info_of(depth_map, promised_fps.get(camera))
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

    return body


def info_of(depth_map: DepthMap, promised_fps: float | None) -> dict[str, Any]:
    """What readers are told of a stream once, and again when it changes (``info/<stream>``, docs/wire.md)."""
    size, intrinsics = depth_map.size, depth_map.frame.intrinsics
    seen = intrinsics.scaled_to(size) if intrinsics else None
    return {
        "model": depth_map.model,
        "kind": depth_map.kind,
        "unit": depth_map.unit,
        "weights": depth_map.weights,
        "scale_guessed": depth_map.scale_guessed,
        "width": size.width,
        "height": size.height,
        "fps": promised_fps,
        "intrinsics": {"fx": seen.fx_px, "fy": seen.fy_px, "cx": seen.cx_px, "cy": seen.cy_px} if seen else None,
    }
