"""A reader that is too slow, and cameras whose clocks are broken, through the product's own door."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from pipelines.drill.camera.rtp_clock import ClockFault
from stream.frames import Dropped, Frame
from stream.settings import NetworkCamera
from stream.sources.health import Health
from stream.sources.network.source import NetworkSource
from stream.sources.reconnect import Reconnecting
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.sources.watching import network, number

FPS = 25
AT_MOST_S = 1.0 + 1.0
"""The promise: 1 s and one key frame interval."""


@pytest.mark.slow
def test_a_slow_reader_skips_to_the_newest_image() -> None:
    """It takes 0.1 s for each image of 25 a second; what it misses is dropped with a number, as "behind"."""
    pause, stopping, items = threading.Event(), threading.Event(), []
    clip = Clip.test_pattern(fps=FPS, seconds=8, keyframe_every=FPS)
    with RtspCamera({"/cam": clip}) as camera, network(camera.url("/cam")) as source:
        for item in source.frames(stopping):
            items.append(item)
            if isinstance(item, Frame):
                assert item.stamp.age_s() < AT_MOST_S
                pause.wait(0.1)
            if len(items) >= 5 * FPS:
                stopping.set()
        sent = {entry.number: entry.mono_s for entry in camera.log("/cam")}
    frames = [item for item in items if isinstance(item, Frame)]
    dropped = [item for item in items if isinstance(item, Dropped)]
    assert len(frames) < 0.6 * len(items), "it could not have shown them all"
    assert {item.reason for item in dropped} == {"behind"}
    assert [item.frames[0].seq for item in items] == list(range(len(items)))
    assert all(a.stamp.mono_ns <= b.stamp.mono_ns for a, b in pairwise(frames))
    assert all(frame.stamp.mono_ns / 1e9 - sent[number(frame)] < 0.1 for frame in frames), "none says it is younger"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"), [("constant", "stands still"), ("slow rate", "times real time"), ("steps back", "jumps")]
)
def test_a_broken_clock_is_named_and_the_images_go_on(fault: ClockFault, words: str) -> None:
    """Within a few seconds ages are those of the arrival; no image is missing, and media times are left out."""
    health, stopping, named = Health("door"), threading.Event(), list[Frame]()
    clip = Clip.test_pattern(fps=FPS, seconds=20, keyframe_every=FPS)
    with RtspCamera({"/cam": clip}) as camera:
        camera.break_rtp_clock(fault)
        settings = NetworkCamera(source="rtsp", name="door", url=camera.url("/cam"))
        with Reconnecting(lambda: NetworkSource(settings), health) as source:
            for item in source.frames(stopping):
                assert item.frames[0].seq < 20 * FPS, "the fault was never named"
                if isinstance(item, Frame) and health.snapshot().clock:
                    named.append(item)
                if len(named) == FPS:
                    stopping.set()
        sent = {entry.number: entry.mono_s for entry in camera.log("/cam")}
    assert words in health.snapshot().clock
    assert health.snapshot().reconnects == 0
    assert all(frame.stamp.media_s is None for frame in named[1:])
    assert {frame.stamp.source for frame in named[1:]} == {"arrival"}, "its label would be led back by the clock, too"
    off_s = sorted(abs(frame.stamp.mono_ns / 1e9 - sent[number(frame)]) for frame in named)
    assert off_s[len(off_s) // 2] < 0.1
