"""The RTSP camera with real clients: every image, at its time, for every client."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from itertools import islice, pairwise
from typing import get_args

import av
import cv2
import numpy as np
import pytest

from pipelines.drill.camera.encode import Codec
from tests.rigs.rtsp_camera import Clip, RtspCamera, read_number
from tests.rigs.rtsp_client import watching
from tests.rigs.rtsp_images import FPS, IMAGES, KEYFRAME_EVERY, numbers, quick_clip, turning

STEP = 90_000 // FPS


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", get_args(Codec))
def test_every_image_of_a_loop_arrives(codec: Codec, transport: str) -> None:
    """Each image carries its number, from the first on, evenly spaced across the end of the clip."""
    width, height = 160, 128  # small, so that the system's buffer holds UDP packets while this machine is busy
    clip = quick_clip(codec, width, height)
    with RtspCamera({"/cam": clip}) as camera, watching(camera.url("/cam"), transport) as images:
        seen = list(islice(images, IMAGES + 20))
    assert numbers(seen) == turning(range(IMAGES + 20))
    assert {image.size for image in seen} == {(width, height)}
    times = [image.pts for image in seen[1:] if image.pts is not None]  # FFmpeg gives the very first none
    assert len(times) == len(seen) - 1
    assert np.abs(np.diff(times) - STEP).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "transport"), [("h264", "tcp"), ("h264", "udp"), ("h265", "tcp"), ("mjpeg", "udp")])
def test_the_cameras_clock_reaches_the_client(codec: Codec, transport: str) -> None:
    """After the first sender report, each image has the time of sending by the camera's clock and its offset."""
    offset_s, clip = 3.5, Clip.test_pattern(codec, fps=25, seconds=2, keyframe_every=10)
    with (
        RtspCamera({"/cam": clip}, clock_offset_s=offset_s) as camera,
        watching(camera.url("/cam"), transport) as images,
    ):
        seen = list(islice(images, 25))[5:]  # over UDP the first report may come after the first images
        sent_s = {sent.number: sent.unix_s for sent in camera.log("/cam")[: len(clip)]}
    errors_s = [
        image.captured_unix_s - offset_s - sent_s[image.number]
        for image in seen
        if image.captured_unix_s is not None and image.number is not None
    ]
    assert len(errors_s) == len(seen)
    assert abs(statistics.median(errors_s)) < 0.02  # half the time between two images


def test_a_jump_of_the_clock_shows_at_once() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        times = [image.captured_unix_s for image in islice(images, 20)]
        camera.jump_clock(-60)
        for image in islice(images, 10 * IMAGES):
            times.append(image.captured_unix_s)
            if (image.captured_unix_s or 0) < time.time() - 30:
                break
    steps = [after - before for before, after in pairwise(filter(None, times))]
    assert -61 < steps[-1] < -59
    assert all(0 < step < 1 for step in steps[:-1])


def test_without_sender_reports_nobody_knows_the_time() -> None:
    with (
        RtspCamera({"/cam": quick_clip()}, sender_reports=False) as camera,
        watching(camera.url("/cam")) as images,
    ):
        assert {image.captured_unix_s for image in islice(images, 30)} == {None}


def test_two_clients_see_the_same_images() -> None:
    """The second client starts at the next key frame; images sent are counted for both."""
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        first = next(images)
        with watching(camera.url("/cam"), "udp") as others:
            seen = numbers(list(islice(others, 30)))
            assert camera.sessions == 2
        assert seen[0] is not None
        assert seen[0] % KEYFRAME_EVERY == 0
        assert seen == turning(range(seen[0], seen[0] + 30))
        assert first.number == 0
        units = {(sent.mono_s, sent.number) for sent in camera.log("/cam")}
        assert camera.sent("/cam") >= len(units) + 30


def test_paths_are_cameras_of_their_own() -> None:
    """Paths have different codecs, sizes and faults."""
    clips = {"/a": quick_clip(), "/b": quick_clip("h265", 160, 128)}
    with (
        RtspCamera(clips) as camera,
        watching(camera.url("/a")) as images,
        watching(camera.url("/b")) as others,
    ):
        camera.lose(5, path="/a")
        seen = list(islice(others, IMAGES))
        assert numbers(seen) == turning(range(IMAGES))
        assert {image.size for image in seen} == {(160, 128)}
        assert next(images).number == 0


def test_opencv_watches_too() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera:
        parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 10_000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 10_000]
        capture = cv2.VideoCapture(camera.url("/cam"), cv2.CAP_FFMPEG, parameters)
        try:
            seen = [read_number(capture.read()[1]) for _ in range(IMAGES)]
        finally:
            capture.release()
    assert seen == turning(range(IMAGES))


def test_a_camera_is_gone_when_its_block_is_left() -> None:
    """It ends within a second despite connected clients, and its port is free again."""
    with ExitStack() as clients:
        with RtspCamera({"/cam": quick_clip()}) as camera:
            url, port = camera.url("/cam"), camera.port
            next(clients.enter_context(watching(url)))
            start_s = time.monotonic()
        assert time.monotonic() - start_s < 1
        with pytest.raises(av.error.ConnectionRefusedError), watching(url):
            pass
        assert camera.sent("/cam") > 0
        with pytest.raises(RuntimeError, match="switched off"):
            camera.stall()
        with RtspCamera({"/cam": quick_clip()}, port=port) as other, watching(other.url("/cam")) as images:
            assert next(images).number == 0
