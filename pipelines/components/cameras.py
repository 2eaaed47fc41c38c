"""Add cameras to a pipeline, as their settings describe them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, assert_never

from stream.errors import SettingsError
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import CameraHealth
from stream.runtime.worker import Body, Worker
from stream.settings import (
    Camera,
    CameraWithIntrinsics,
    GstreamerCamera,
    ImagesCamera,
    NetworkCamera,
    SyntheticCamera,
    VideoCamera,
    WebcamCamera,
)
from stream.sources.base import Source
from stream.sources.gstreamer.parsing import check_description
from stream.sources.gstreamer.source import GstreamerSource
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

    Raises SettingsError for two cameras of one name, and for an address, a device or a GStreamer pipeline that can
    never work; MissingPackage for such a pipeline without GStreamer.
    """
    check_names(cameras)
    check_connections(cameras)
    sources = [(camera.name, *source_of(camera)) for camera in cameras]
    return [pipe.source(f"capture.{name}", body, health=health) for name, body, health in sources]


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
    """Raise SettingsError or MissingPackage for a live camera that can never connect; it would be retried for ever."""
    for camera in cameras:
        if isinstance(camera, GstreamerCamera):
            check_description(camera)
        if isinstance(camera, NetworkCamera | WebcamCamera) and (why := config_error(camera)):
            raise SettingsError(f'[cameras] camera "{camera.name}": {why}')


def source_of(camera: Camera) -> tuple[Body, Callable[[], CameraHealth] | None]:
    """The source that ``camera`` describes, not opened yet, and the health of a live one."""
    if not isinstance(camera, NetworkCamera | WebcamCamera | GstreamerCamera):
        frames = capture(open_source(camera))
        # The rendered camera knows its own lens.
        known = camera.intrinsics if isinstance(camera, CameraWithIntrinsics) else None
        return (with_intrinsics(frames, known) if known else frames), None
    health = Health(camera.name)
    # A live source is one connection and never retries; Reconnecting opens a new one (decision 6).
    live = capture_live(Reconnecting(lambda: _open_live(camera), health), camera, health)
    return (with_intrinsics(live, camera.intrinsics) if camera.intrinsics else live), health.snapshot


def _open_live(camera: NetworkCamera | WebcamCamera | GstreamerCamera) -> LiveSource:
    match camera:
        case NetworkCamera():
            return NetworkSource(camera)
        case WebcamCamera():
            return WebcamSource(camera)
        case GstreamerCamera():
            return GstreamerSource(camera)
        case _:
            assert_never(camera)
