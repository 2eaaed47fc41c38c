"""Add a publisher to a pipeline, and report each stream's status to its readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import Any

from pipelines.components.depth import FLICKER
from pipelines.components.live_cameras import CameraPipeline
from stream.core.clock import NS_PER_S, NowNs
from stream.publisher.publisher import Publisher
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import Account, CameraHealth, PipelineStats
from stream.runtime.worker import Worker
from stream.settings import Camera, PublishSettings, RenderSettings, SyntheticCamera
from stream.stages.broadcast import broadcast

STAGE = "publish"
SNAPSHOT_S = 0.5
"""Age at which a snapshot is renewed; one snapshot serves the status of all cameras."""


def add_publisher(
    pipe: Pipeline, depth: Worker, settings: PublishSettings, preview: RenderSettings, cameras: Sequence[Camera]
) -> Publisher:
    """Add a stage that broadcasts the newest depth map of each camera; return its publisher, not opened yet.

    ``preview`` is how previews are painted. Cameras that come and go are announced to readers.
    """
    publisher = Publisher(settings)
    publisher.set_status_source(StreamStatus(pipe.stats))
    promised = {camera.name: promised_fps(camera, settings) for camera in cameras}
    pipe.stage(STAGE, broadcast(publisher, preview, promised), after=[depth], policy="latest")
    pipe.add_statistics("publisher", publisher.statistics)

    def added(camera: Camera) -> None:
        promised[camera.name] = promised_fps(camera, settings)
        publisher.declare(camera.name, {"fps": promised[camera.name]})

    def removed(name: str) -> None:
        promised.pop(name, None)
        publisher.retire(name)

    if isinstance(pipe, CameraPipeline):
        pipe.on_cameras(added, removed)
    return publisher


def promised_fps(camera: Camera, settings: PublishSettings) -> float | None:
    """The rate that readers of this camera may expect; None if it is unknown in advance."""
    if settings.promised_fps is not None:
        return settings.promised_fps
    # Of a scene rendered as fast as possible, and of real cameras, the rate is not known in advance.
    return camera.fps if isinstance(camera, SyntheticCamera) and camera.pace == "live" else None


class StreamStatus:
    """The pipeline's part of ``status/<stream>``: the camera's health, and what became of its frames."""

    def __init__(self, stats: Callable[[], PipelineStats], now_ns: NowNs = monotonic_ns) -> None:
        self._take, self._now_ns = stats, now_ns
        self._snapshot: PipelineStats | None = None
        self._due_ns = 0

    def __call__(self, camera: str) -> dict[str, Any]:
        stats = self._stats()
        health = next((c for c in stats.cameras if c.name == camera), None)
        account = next((a for a in stats.accounts if (a.terminal, a.camera) == (STAGE, camera)), None)
        age = next(
            (s.age_by_camera[camera] for s in stats.stages if s.name == STAGE and camera in s.age_by_camera), None
        )
        return {
            **(_camera(health) if health else {}),
            **(_account(account) if account else {}),
            "age_p50_ms": round(1e3 * age.p50_s, 1) if age else None,
            "age_p95_ms": round(1e3 * age.p95_s, 1) if age else None,
            **_flicker(stats, camera),
        }

    def _stats(self) -> PipelineStats:
        now = self._now_ns()
        if self._snapshot is None or now >= self._due_ns:
            self._snapshot, self._due_ns = self._take(), now + round(SNAPSHOT_S * NS_PER_S)
        return self._snapshot


def _camera(health: CameraHealth) -> dict[str, Any]:
    return {
        "camera": health.state,
        "camera_since_s": round(health.since_s, 1),
        "camera_offline_s": round(health.offline_s, 1),
        "grade": health.grade,
        "reconnects": health.reconnects,
        "stalls": health.stalls,
        "trouble": health.trouble,
        "clock": health.clock,
        "images": dict(health.integrity),
    }


def _flicker(stats: PipelineStats, camera: str) -> dict[str, Any]:
    """Flicker with and without stabilisation, in 255ths of the depth range; empty if depth is not stabilised."""
    levels = stats.statistics.get(FLICKER, {})
    named = {"flicker": levels.get(f"{camera} steady"), "flicker_raw": levels.get(f"{camera} raw")}
    return {name: round(level, 2) for name, level in named.items() if level is not None and math.isfinite(level)}


def _account(account: Account) -> dict[str, Any]:
    return {
        "captured": account.captured,
        "published": account.published,
        "in_flight": account.in_flight,
        "dropped": dict(account.dropped),
    }
