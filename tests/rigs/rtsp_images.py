"""Helpers of the RTSP camera's tests: a short clip and the numbers that must come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from pipelines.drill.camera.encode import Codec
from tests.rigs.rtsp_camera import Clip
from tests.rigs.rtsp_client import Seen

FPS = 100
IMAGES, KEYFRAME_EVERY = 60, 20
"""A short loop with many key frames: clients open sooner, and tests reach the clip's end."""


def quick_clip(codec: Codec = "h264", width: int = 320, height: int = 240, fps: float = FPS) -> Clip:
    return Clip.test_pattern(codec, width, height, fps, IMAGES / fps, KEYFRAME_EVERY)


def numbers(seen: Iterable[Seen]) -> list[int | None]:
    """The numbers read from the pixels."""
    return [image.number for image in seen]


def turning(running: Iterable[int]) -> list[int]:
    """Consecutive numbers of the looping clip."""
    return [number % IMAGES for number in running]


def until(images: Iterator[Seen], number: int) -> list[Seen]:
    """The images up to and including ``number``."""
    seen = []
    for image in islice(images, 10 * IMAGES):
        seen.append(image)
        if image.number == number:
            return seen
    raise AssertionError(f"{number} never came: {numbers(seen)}")
