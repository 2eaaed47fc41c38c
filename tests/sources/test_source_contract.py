"""The contract of stream/sources/base.py, run on every source."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from stream.settings import ImagesCamera, NetworkCamera, SyntheticCamera, VideoCamera
from stream.sources.base import Source
from stream.sources.images import ImagesSource
from stream.sources.network.source import NetworkSource
from stream.sources.synthetic import SyntheticSource
from stream.sources.video import VideoSource

FRAMES = 6
Opener = Callable[[Path], Source]


def video(folder: Path) -> Source:
    path = folder / "clip.mp4"
    pattern = av.open("testsrc2=size=96x64:rate=25", format="lavfi")
    with pattern, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _, frame in zip(range(FRAMES), pattern.decode(video=0), strict=False):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return VideoSource(VideoCamera(source="video", name="cam", path=str(path)))


def images(folder: Path) -> Source:
    rng = np.random.default_rng(0)
    for number in range(FRAMES):
        assert cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (64, 96, 3), np.uint8))
    return ImagesSource(ImagesCamera(source="images", name="cam", path=str(folder)))


def synthetic(folder: Path) -> Source:
    camera = SyntheticCamera(
        source="synthetic", name="cam", width=96, height=64, fps=12, seconds=FRAMES / 12, pace="fast"
    )
    return SyntheticSource(camera)


def pattern(folder: Path) -> Source:
    url = f"lavfi:testsrc2=size=96x64:rate=25:duration={FRAMES / 25}"
    return NetworkSource(NetworkCamera(source="url", name="cam", url=url))


every_source = pytest.mark.parametrize("opener", [video, images, synthetic, pattern])


@every_source
def test_frames_are_numbered_read_only_and_named(opener: Opener, tmp_path: Path) -> None:
    """Images are (H, W, 3) uint8, contiguous and read-only; seq counts from 0; the name is the camera's."""
    with opener(tmp_path) as source:
        frames = list(source.frames(threading.Event()))
    assert [frame.seq for frame in frames] == list(range(FRAMES))
    for frame in frames:
        assert frame.camera == "cam"
        assert frame.image.dtype == np.uint8
        assert frame.image.shape == (64, 96, 3)
        assert frame.image.flags.c_contiguous
        assert not frame.image.flags.writeable
        assert frame.integrity == "clean"


@every_source
def test_stamps_never_go_back(opener: Opener, tmp_path: Path) -> None:
    """They rise by the monotonic clock, and on the source's own time line if it has one."""
    with opener(tmp_path) as source:
        stamps = [frame.stamp for frame in source.frames(threading.Event())]
    assert all(a.mono_ns <= b.mono_ns for a, b in itertools.pairwise(stamps))
    lines = [stamp.media_s for stamp in stamps if stamp.media_s is not None]
    assert all(a < b for a, b in itertools.pairwise(lines))


@every_source
def test_stopping_ends_the_frames(opener: Opener, tmp_path: Path) -> None:
    """After ``stopping`` is set during a frame, no other frame follows."""
    stopping = threading.Event()
    with opener(tmp_path) as source:
        frames = source.frames(stopping)
        next(iter(frames))
        stopping.set()
        assert list(frames) == []


@pytest.mark.slow
@every_source
def test_a_source_can_be_opened_again(opener: Opener, tmp_path: Path) -> None:
    """The second pass has the same images."""
    source, runs = opener(tmp_path), []
    for _ in range(2):
        with source:
            runs.append([frame.image for frame in source.frames(threading.Event())])
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


@every_source
def test_images_of_different_frames_share_no_memory(opener: Opener, tmp_path: Path) -> None:
    """A frame that waits in a queue must not be overwritten by the next one."""
    with opener(tmp_path) as source:
        frames = list(source.frames(threading.Event()))
    assert not any(np.shares_memory(a.image, b.image) for a, b in itertools.combinations(frames, 2))


@every_source
def test_a_source_describes_itself_in_one_line(opener: Opener, tmp_path: Path) -> None:
    """It does so before it is opened and while it is open."""
    source = opener(tmp_path)
    before = source.describe()
    with source:
        during = source.describe()
    assert before
    assert during
    assert "\n" not in before + during
