"""Add cameras to a pipeline, as their settings describe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from stream.errors import SettingsError
from stream.runtime.pipeline import Pipeline
from stream.runtime.worker import Worker
from stream.settings import (
    Camera,
    CameraWithIntrinsics,
    ImagesCamera,
    NetworkCamera,
    SyntheticCamera,
    VideoCamera,
    WebcamCamera,
)
from stream.sources.base import Source
from stream.sources.health import Health
from stream.sources.images import ImagesSource
from stream.sources.network.source import NetworkSource
from stream.sources.reconnect import LiveSource, Reconnecting
from stream.sources.synthetic import SyntheticSource
from stream.sources.validation import config_error
from stream.sources.video import VideoSource
from stream.sources.webcam.source import WebcamSource
from stream.stages.capture import capture, capture_live
from stream.stages.intrinsics import with_intrinsics

RecordedCamera: TypeAlias = VideoCamera | ImagesCamera | SyntheticCamera


def add_cameras(pipe: Pipeline, cameras: Sequence[Camera]) -> list[Worker]:
    """Add one source stage per camera; live cameras reconnect and report their health.

    Raises SettingsError for two cameras of one name, and for an address or a device that can never work.
    """
    check_names(cameras)
    check_connections(cameras)
    return [_add(pipe, camera) for camera in cameras]


def open_source(camera: RecordedCamera) -> Source:
    """The source that ``camera`` describes, not opened yet."""
    match camera:
        case VideoCamera():
            return VideoSource(camera)
        case ImagesCamera():
            return ImagesSource(camera)
        case SyntheticCamera():
            return SyntheticSource(camera)
        case _:
            assert_never(camera)


def check_names(cameras: Sequence[Camera]) -> None:
    """Raise SettingsError when two cameras share a name, which identifies their frames, files and statistics."""
    names = [camera.name for camera in cameras]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f'[cameras] two cameras are called "{name}": give each a name of its own')


def check_connections(cameras: Sequence[Camera]) -> None:
    """Raise SettingsError for a live camera that can never connect; it would be retried for ever."""
    for camera in cameras:
        if isinstance(camera, NetworkCamera | WebcamCamera) and (why := config_error(camera)):
            raise SettingsError(f'[cameras] camera "{camera.name}": {why}')


def _add(pipe: Pipeline, camera: Camera) -> Worker:
    name = f"capture.{camera.name}"
    if not isinstance(camera, NetworkCamera | WebcamCamera):
        frames = capture(open_source(camera))
        # The rendered camera knows its own lens.
        known = camera.intrinsics if isinstance(camera, CameraWithIntrinsics) else None
        return pipe.source(name, with_intrinsics(frames, known) if known else frames)
    health = Health(camera.name)
    pipe.add_camera(health.snapshot)
    # A live source is one connection and never retries; Reconnecting opens a new one (decision 6).
    live = capture_live(Reconnecting(lambda: _open_live(camera), health), camera, health)
    return pipe.source(name, with_intrinsics(live, camera.intrinsics) if camera.intrinsics else live)


def _open_live(camera: NetworkCamera | WebcamCamera) -> LiveSource:
    return NetworkSource(camera) if isinstance(camera, NetworkCamera) else WebcamSource(camera)
