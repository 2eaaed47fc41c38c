"""The command line with a preview window, on a real X server with a window manager."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from stream.frames import Image
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.rigs.xvfb import Screen, missing, wait_for

DEPTHSTREAM = Path(sys.executable).with_name("depthstream")
TITLE = "depthstream"
ENDED_S = 60.0
"""Seconds: an ending drains captured frames and finishes the video, but a busy machine gets this long."""
DEMO = ("demo", "--window", "--seconds", "20", "-o", "demo.mp4")
pytestmark = [pytest.mark.rig, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    clip = Clip.test_pattern(codec="h264", width=320, height=240, fps=12, seconds=4, keyframe_every=12)
    with RtspCamera({"/cam": clip}, user="admin", password="p@ss:w%rd") as running:
        yield running


class Shown:
    """A running command, its window and what it printed."""

    def __init__(self, screen: Screen, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.screen, self.folder, self._process = screen, folder, process

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def exit_status(self) -> int:
        return self._process.wait(ENDED_S)

    def looks(self, name: str = "now") -> Image:
        """The window's inside, (H, W, 3) uint8 BGR; the whole screen is saved as ``name``.png."""
        rows, columns = self.screen.place(TITLE)
        return self.screen.screenshot(self.folder / f"{name}.png")[rows, columns]

    def moves(self) -> bool:
        before, after = self.looks("before"), self.looks("after")
        return before.shape == after.shape and bool((before != after).any())

    def has_depth(self) -> bool:
        """Whether its right third is coloured; a tile that waits for its first image is grey."""
        depth = self._depth()
        return bool(np.ptp(depth, axis=2).mean() > 20) if depth.size else False

    def blueness(self) -> float:
        """Mean of blue minus red in its right third."""
        depth = self._depth()
        return float((depth[..., 0] - depth[..., 2]).mean())

    def _depth(self) -> npt.NDArray[np.int32]:
        image = self.looks()
        return image[:, image.shape[1] * 2 // 3 :].astype(np.int32)


@contextmanager
def started(screen: Screen, folder: Path, *arguments: str) -> Iterator[Shown]:
    """Run a command; returns once its window shows images."""
    with (
        (folder / "output.txt").open("wb") as file,
        subprocess.Popen(
            [DEPTHSTREAM, *arguments], cwd=folder, env=screen.environment, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        shown = Shown(screen, process, folder)
        try:
            screen.focus(TITLE)
            wait_for(shown.has_depth, "depth")
            yield shown
        finally:
            process.kill()
            sys.stderr.write(shown.output)  # pytest shows it with a failure


def assert_ended_well(shown: Shown) -> None:
    """Check for status 0, the final table, and no sign of a crash."""
    assert shown.exit_status() == 0
    for word in ("captured =", "published", "account", "drops by reason"):
        assert word in shown.output
    for word in ("Traceback", "Error", "p@ss", "p%40ss"):
        assert word not in shown.output


def images_in(video: Path) -> int:
    """The number of decodable images in a video."""
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_the_demo_moves_changes_colours_and_ends_by_a_key(screen: Screen, tmp_path: Path) -> None:
    """The video is finished and has the images shown so far."""
    with started(screen, tmp_path, *DEMO) as shown:
        wait_for(shown.moves, "movement")
        inferno = shown.blueness()
        screen.press("c")
        wait_for(lambda: abs(shown.blueness() - inferno) > 15, "other colours")
        screen.press("q")
        assert_ended_well(shown)
    assert images_in(tmp_path / "demo.mp4") > 10


def test_the_cross_of_the_demos_window_ends_it(screen: Screen, tmp_path: Path) -> None:
    """The cross sends the window manager's close event; the video is finished."""
    with started(screen, tmp_path, *DEMO) as shown:
        screen.close(TITLE)
        assert_ended_well(shown)
    assert images_in(tmp_path / "demo.mp4") > 1


@pytest.mark.parametrize("ending", ["q", "cross"])
def test_a_network_camera_is_watched(screen: Screen, tmp_path: Path, camera: RtspCamera, ending: str) -> None:
    """It runs until a key or the cross; every frame is accounted for, and no output has the password."""
    with started(screen, tmp_path, "rtsp", camera.url("/cam", credentials=True), "--window") as shown:
        wait_for(shown.moves, "movement")
        if ending == "q":
            screen.press("q")
        else:
            screen.close(TITLE)
        assert_ended_well(shown)


def test_without_a_screen_one_line_says_so(tmp_path: Path) -> None:
    """It exits with status 2 and starts no video."""
    environment = Screen("").environment
    done = subprocess.run(
        [DEPTHSTREAM, *DEMO], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "DISPLAY" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "demo.mp4").exists()
