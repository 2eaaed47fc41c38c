"""Helpers of the RTSP client's tests: an open reader, its access units, and the numbers in their images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.drill.camera.encode import Codec
from stream.core.clock import Deadline
from stream.settings import NetworkCamera
from stream.sources.network.access_unit import AccessUnit, CameraReport
from stream.sources.network.rtsp import RtspReader
from stream.sources.network.url import CameraUrl
from tests.rigs.rtsp_camera import Clip, read_number

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

DATA = Path(__file__).with_name("data")
FPS = 100
IMAGES, KEYFRAME_EVERY = 60, 20
"""A short loop with many key frames."""


def clip(codec: Codec = "h264", width: int = 160, height: int = 128) -> Clip:
    return Clip.test_pattern(codec, width, height, FPS, IMAGES / FPS, KEYFRAME_EVERY)


def open_reader(url: str, **keys: Any) -> RtspReader:
    settings = NetworkCamera(source="rtsp", url=url, **{"open_s": 10.0, **keys})
    return RtspReader(settings, CameraUrl(url))


@contextmanager
def reading(url: str, **keys: Any) -> Iterator[RtspReader]:
    """An open reader; ``keys``: settings of NetworkCamera."""
    reader = open_reader(url, **keys)
    try:
        yield reader
    finally:
        reader.close()


def units(items: Iterable[AccessUnit | CameraReport]) -> Iterator[AccessUnit]:
    """Without the sender reports."""
    return (item for item in items if isinstance(item, AccessUnit))


def take(reader: RtspReader, count: int) -> list[AccessUnit]:
    return list(islice(units(reader.items()), count))


def numbers(reader: RtspReader, coded: Iterable[AccessUnit]) -> list[int | None]:
    """The numbers in the images; an access unit that gives no image is left out."""
    import av

    context: VideoCodecContext = av.CodecContext.create(reader.codec, "r")  # type: ignore[assignment]
    context.thread_type = "SLICE"
    if reader.extradata:
        context.extradata = reader.extradata
    frames = (frame for unit in coded for frame in context.decode(av.Packet(unit.data)))
    return [read_number(frame.to_ndarray(format="bgr24")) for frame in frames]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread does soon; fails after ten seconds."""
    deadline = Deadline.after(10)
    while not is_so():
        assert not deadline.passed
        threading.Event().wait(0.005)


def turning(count: int) -> list[int]:
    return [number % IMAGES for number in range(count)]
