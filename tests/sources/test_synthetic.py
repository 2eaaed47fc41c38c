"""The synthetic camera."""

from __future__ import annotations

import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest

from stream.settings import SyntheticCamera
from stream.sources.synthetic import SyntheticSource


def settings(**changes):
    values = {"source": "synthetic", "width": 64, "height": 48, "fps": 12.0, "seconds": 0.4, "pace": "fast"} | changes
    return SyntheticCamera(**values)


def frames_of(**changes):
    with SyntheticSource(settings(**changes)) as source:
        return list(source.frames(threading.Event()))


def test_frames_are_what_a_frame_should_be():
    """The image is BGR bytes, ground truth is metres; intrinsics and scene time are set, and all is read-only."""
    frames = frames_of(name="left")
    assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]
    for i, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert not frame.image.flags.writeable
        assert frame.ground_truth.shape == (48, 64)
        assert frame.ground_truth.dtype == np.float32
        assert not frame.ground_truth.flags.writeable
        assert (frame.ground_truth > 0).all()
        assert frame.intrinsics.size == frame.size
        assert (frame.intrinsics.cx_px, frame.intrinsics.cy_px) == (31.5, 23.5)
        assert frame.camera == "left"
        assert (frame.stamp.source, frame.stamp.media_s) == ("synthetic", pytest.approx(i / 12))


def test_time_stamps_rise():
    """The monotonic time and the media time rise."""
    assert all(a.stamp.mono_ns < b.stamp.mono_ns for a, b in pairwise(frames_of()))


@pytest.mark.slow
def test_images_depend_on_seed_and_time_alone():
    """Frame 6 at 24 fps shows the moment of frame 3 at 12 fps: same ground truth, same image except for the grain."""
    first, again, other = frames_of(), frames_of(pace="live", fps=12.0), frames_of(seed=1)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    assert all(np.array_equal(a.ground_truth, b.ground_truth) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].ground_truth, other[0].ground_truth)
    faster = frames_of(fps=24.0)
    assert np.array_equal(first[3].ground_truth, faster[6].ground_truth)
    assert np.abs(first[3].image.astype(int) - faster[6].image).max() < 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_consecutive_frames_are_close_but_not_equal(seed):
    """The camera sways without jumps."""
    for a, b in pairwise(frames_of(seed=seed)):
        difference = np.abs(a.image.astype(int) - b.image).mean()
        assert 0.2 < difference < 10


@pytest.mark.parametrize("seed", [0, 1])
def test_depth_moves_with_the_camera(seed):
    """Frame 0's depth, carried into frame 4 by the exact poses, is frame 4's depth wherever nothing moved or hid.

    Inverse depth is affine over the pixels of a plane, so it is interpolated; flat surfaces then agree to float32.
    """
    with SyntheticSource(settings(seed=seed)) as source:
        first, *_, last = source.frames(threading.Event())
        into_last = np.linalg.inv(source.pose(last.seq)) @ source.pose(first.seq)
    k = first.intrinsics
    v, u = np.nonzero(np.isfinite(first.ground_truth))
    z = first.ground_truth[v, u].astype(np.float64)
    points = np.stack([(u - k.cx_px) / k.fx_px * z, (v - k.cy_px) / k.fy_px * z, z, np.ones_like(z)])
    x, y, expected, _ = into_last @ points
    found = 1 / interpolated(1 / last.ground_truth, k.fx_px * x / expected + k.cx_px, k.fy_px * y / expected + k.cy_px)
    inside = np.isfinite(found)
    error = np.abs(found[inside] / expected[inside] - 1)
    assert inside.mean() > 0.9
    assert np.median(error) < 1e-4
    assert (error < 0.01).mean() > 0.75
    assert np.abs(into_last - np.eye(4)).max() > 1e-3, "the camera stood still"


def interpolated(image, u, v):
    """Bilinear interpolation; NaN outside."""
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    height, width = image.shape
    inside = (left >= 0) & (top >= 0) & (left < width - 1) & (top < height - 1)
    left, top, a, b = left[inside], top[inside], (u % 1)[inside], (v % 1)[inside]
    upper = (1 - a) * image[top, left] + a * image[top, left + 1]
    lower = (1 - a) * image[top + 1, left] + a * image[top + 1, left + 1]
    values = np.full(len(u), np.nan)
    values[inside] = (1 - b) * upper + b * lower
    return values


@pytest.mark.parametrize("pace", ["fast", "live"])
def test_it_stops_when_stopping_is_set(pace):
    """It stops before the first frame, or after any, although the scene is endless."""
    stopping = threading.Event()
    with SyntheticSource(settings(seconds=None, pace=pace)) as source:
        frames = source.frames(stopping)
        next(frames), next(frames)
        stopping.set()
        assert list(frames) == []
        assert list(source.frames(stopping)) == []


@pytest.mark.parametrize(("seconds", "expected"), [(0.01, 1), (1 / 12, 1), (0.25, 3), (0.26, 4)])
def test_seconds_bound_the_scenes_time(seconds, expected):
    """There are frames at 0, 1/12, ... below the end."""
    assert len(frames_of(seconds=seconds)) == expected


def test_it_describes_itself():
    """The description is one line."""
    assert SyntheticSource(settings(seed=3)).describe() == "synthetic scene 3, 64x48 at 12 fps, 0.4 s, fast"


@pytest.mark.slow
def test_importing_it_does_not_load_torch():
    """Importing torch takes seconds, which ``depthstream --help`` should not pay."""
    program = "import sys, stream.sources.synthetic; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_still_camera_stands_still(seed):
    """Most pixels keep their exact depth, and differ only by noise and shadows; people and things still move."""
    first, last = frames_of(seed=seed, still=True, fps=2.0, seconds=1.0)
    same = first.ground_truth == last.ground_truth
    assert 0.8 < same.mean() < 1.0
    assert np.median(np.abs(first.image.astype(int) - last.image)[same]) <= 3
    swaying, swayed = frames_of(seed=seed, fps=2.0, seconds=1.0)
    assert (swaying.ground_truth != swayed.ground_truth).mean() > 0.8
