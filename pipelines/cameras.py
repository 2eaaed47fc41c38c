"""From a camera's settings to its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from stream.errors import SettingsError
from stream.settings import Camera, ImagesCamera, SyntheticCamera, VideoCamera
from stream.sources.base import Source
from stream.sources.images import ImagesSource
from stream.sources.synthetic import SyntheticSource
from stream.sources.video import VideoSource


def open_source(camera: Camera) -> Source:
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
    """Raise SettingsError when two cameras share a name: names tell their frames, files and figures apart."""
    names = [camera.name for camera in cameras]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f'[cameras] two cameras are called "{name}": give each a name of its own')
