"""The RTSP camera loses or damages packets, or switches to another clip."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, dropwhile, islice
from typing import get_args

import numpy as np
import pytest

from pipelines.drill.camera.encode import Codec
from pipelines.drill.camera.numbered import Image
from tests.rigs.rtsp_camera import RtspCamera
from tests.rigs.rtsp_client import Seen, watching
from tests.rigs.rtsp_images import IMAGES, KEYFRAME_EVERY, numbers, quick_clip, turning, until


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "codec", "transport"),
    [("lose", "h264", "udp"), *((fault, codec, "tcp") for fault in ("lose", "corrupt") for codec in get_args(Codec))],
)
def test_damage_is_where_the_camera_says(fault: str, codec: Codec, transport: str) -> None:
    """Every image from the damaged one to the next key frame is wrong; all others are exact to the bit."""
    with RtspCamera({"/cam": quick_clip(codec)}) as camera, watching(camera.url("/cam")) as images:
        right = {image.number: image.image for image in islice(images, IMAGES)}
    with RtspCamera({"/cam": quick_clip(codec)}) as camera, watching(camera.url("/cam"), transport) as images:
        seen = until(images, 5)
        before = camera.sent("/cam")
        getattr(camera, fault)(1)
        seen += until(images, IMAGES - 1) + list(islice(images, IMAGES))
        (number,) = camera.damaged
    damaged = next(running for running in count(before) if running % IMAGES == number)
    intact = damaged + 1 if codec == "mjpeg" else (damaged // KEYFRAME_EVERY + 1) * KEYFRAME_EVERY
    assert damaged % KEYFRAME_EVERY or codec == "mjpeg"
    good = [image.number for image in seen if is_same(image, right)]
    assert good[: damaged + 20] == turning([*range(damaged), *range(intact, intact + 20)])


def is_same(image: Seen, right: dict[int | None, Image]) -> bool:
    return image.number in right and np.array_equal(image.image, right[image.number])


@pytest.mark.slow
def test_key_frames_are_spared_unless_asked_for() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        camera.lose(2 * KEYFRAME_EVERY)
        until_damaged(camera, images, KEYFRAME_EVERY + 1)
        assert 0 not in {number % KEYFRAME_EVERY for number in camera.damaged}
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        camera.lose(3 * KEYFRAME_EVERY, keyframe=True)
        until_damaged(camera, images, KEYFRAME_EVERY + 1)
        assert 0 in {number % KEYFRAME_EVERY for number in camera.damaged}


def until_damaged(camera: RtspCamera, images: Iterator[Seen], count: int) -> None:
    """Read until ``count`` images are damaged; the images themselves are ignored."""
    for _ in islice(images, 5 * IMAGES):
        if len(camera.damaged) >= count:
            return
    raise AssertionError(f"only {len(camera.damaged)} images were damaged")


@pytest.mark.slow
def test_size_and_rate_change_within_a_session() -> None:
    """The switch happens when the next image is due, from number 0 on, without a burst."""
    slow_fps = 50
    slow = quick_clip(width=640, height=480, fps=slow_fps)
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        until(images, 5)
        before = len(camera.log("/cam"))
        camera.switch("/cam", slow)
        seen = list(islice(images, IMAGES + 40))
        log = camera.log("/cam")[before:]
    first = next(place for place, image in enumerate(seen) if image.size == (640, 480))
    assert {image.size for image in seen[first:]} == {(640, 480)}
    assert numbers(seen[first:]) == turning(range(len(seen) - first))
    assert first >= 1
    log = list(dropwhile(lambda sent: sent.number != 0, log))
    assert len(log) > 20
    assert len(log) <= (log[-1].mono_s - log[0].mono_s) * slow_fps + 3


@pytest.mark.slow
def test_only_the_codec_needs_new_sessions() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        next(images)
        with pytest.raises(ValueError, match="change_codec"):
            camera.switch("/cam", quick_clip("h265"))
        camera.change_codec("/cam", quick_clip("h265", 160, 128))
        with watching(camera.url("/cam")) as others:
            assert next(others).size == (160, 128)
        old = list(islice(images, IMAGES))
        assert {image.size for image in old} == {(320, 240)}
        assert turning(range(1, IMAGES + 1)) == numbers(old)
