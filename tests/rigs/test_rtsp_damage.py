"""The RTSP camera that loses or damages packets, or shows something else all of a sudden."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, dropwhile, islice
from typing import get_args

import numpy as np
import pytest

from tests.rigs.rtsp.encode import Codec
from tests.rigs.rtsp.numbered import Picture
from tests.rigs.rtsp_camera import RtspCamera
from tests.rigs.rtsp_client import Seen, watching
from tests.rigs.rtsp_pictures import KEYFRAME_EVERY, PICTURES, numbers, quick_clip, turning, until


@pytest.mark.parametrize(
    ("fault", "codec", "transport"),
    [("lose", "h264", "udp"), *((fault, codec, "tcp") for fault in ("lose", "corrupt") for codec in get_args(Codec))],
)
def test_damage_is_where_the_camera_says(fault: str, codec: Codec, transport: str) -> None:
    """No picture from the damaged one to the next key frame is right; every other one is, to the last bit."""
    with RtspCamera({"/cam": quick_clip(codec)}) as camera, watching(camera.url("/cam")) as pictures:
        right = {picture.number: picture.image for picture in islice(pictures, PICTURES)}
    with RtspCamera({"/cam": quick_clip(codec)}) as camera, watching(camera.url("/cam"), transport) as pictures:
        seen = until(pictures, 5)
        before = camera.sent("/cam")
        getattr(camera, fault)(1)
        seen += until(pictures, PICTURES - 1) + list(islice(pictures, PICTURES))
        (number,) = camera.damaged
    damaged = next(running for running in count(before) if running % PICTURES == number)
    intact = damaged + 1 if codec == "mjpeg" else (damaged // KEYFRAME_EVERY + 1) * KEYFRAME_EVERY
    assert damaged % KEYFRAME_EVERY or codec == "mjpeg"
    good = [picture.number for picture in seen if is_same(picture, right)]
    assert good[: damaged + 20] == turning([*range(damaged), *range(intact, intact + 20)])


def is_same(picture: Seen, right: dict[int | None, Picture]) -> bool:
    return picture.number in right and np.array_equal(picture.image, right[picture.number])


def test_key_frames_are_spared_unless_asked_for() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as pictures:
        camera.lose(2 * KEYFRAME_EVERY)
        until_damaged(camera, pictures, KEYFRAME_EVERY + 1)
        assert 0 not in {number % KEYFRAME_EVERY for number in camera.damaged}
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as pictures:
        camera.lose(3 * KEYFRAME_EVERY, keyframe=True)
        until_damaged(camera, pictures, KEYFRAME_EVERY + 1)
        assert 0 in {number % KEYFRAME_EVERY for number in camera.damaged}


def until_damaged(camera: RtspCamera, pictures: Iterator[Seen], count: int) -> None:
    """Lets ``count`` pictures be damaged; what arrives is of no interest."""
    for _ in islice(pictures, 5 * PICTURES):
        if len(camera.damaged) >= count:
            return
    raise AssertionError(f"only {len(camera.damaged)} pictures were damaged")


def test_size_and_rate_change_within_a_session() -> None:
    """When the next picture is due, from number 0 on, and without a burst to catch up."""
    slow_fps = 50
    slow = quick_clip(width=640, height=480, fps=slow_fps)
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as pictures:
        until(pictures, 5)
        before = len(camera.log("/cam"))
        camera.switch("/cam", slow)
        seen = list(islice(pictures, PICTURES + 40))
        log = camera.log("/cam")[before:]
    first = next(place for place, picture in enumerate(seen) if picture.size == (640, 480))
    assert {picture.size for picture in seen[first:]} == {(640, 480)}
    assert numbers(seen[first:]) == turning(range(len(seen) - first))
    assert first >= 1
    log = list(dropwhile(lambda sent: sent.number != 0, log))
    assert len(log) > 20
    assert len(log) <= (log[-1].mono_s - log[0].mono_s) * slow_fps + 3


def test_only_the_codec_needs_new_sessions() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as pictures:
        next(pictures)
        with pytest.raises(ValueError, match="change_codec"):
            camera.switch("/cam", quick_clip("h265"))
        camera.change_codec("/cam", quick_clip("h265", 160, 128))
        with watching(camera.url("/cam")) as others:
            assert next(others).size == (160, 128)
        old = list(islice(pictures, PICTURES))
        assert {picture.size for picture in old} == {(320, 240)}
        assert turning(range(1, PICTURES + 1)) == numbers(old)
