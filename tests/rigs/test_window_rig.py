"""The preview window on a real X server, used like a person would: keys, the cross, resizing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from stream.frames import Image, Size
from stream.render.colormap import lut
from tests.rigs.xvfb import PATIENCE_S, SIZE, Screen, authority, missing, wait_for, x_screen, x_server

ROOT = Path(__file__).parents[2]
TITLE = "rig"
pytestmark = [pytest.mark.rig, pytest.mark.skipif(bool(missing()), reason=missing())]


class Program:
    """tests/rigs/window_program.py, its window and what it prints."""

    def __init__(self, screen: Screen, process: subprocess.Popen[bytes], output: Path) -> None:
        self.screen, self._process, self._output = screen, process, output

    def says(self, words: str) -> None:
        """Wait until the program prints ``words``."""
        wait_for(lambda: words in self._output.read_text(), words)

    def exit_status(self) -> int:
        return self._process.wait(PATIENCE_S)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def looks(self) -> Image:
        """The window's inside, (H, W, 3) uint8 BGR."""
        rows, columns = self.screen.place(TITLE)
        return self.screen.screenshot(self._output.with_suffix(".png"))[rows, columns]

    def differs_from(self, before: Image) -> bool:
        now = self.looks()
        return now.shape != before.shape or bool((now != before).any())

    def settled(self) -> Image:
        """The window's inside once five screenshots in a row are equal."""
        seen = [self.looks()]

        def is_still() -> bool:
            seen.append(self.looks())
            return len(seen) > 4 and all(np.array_equal(seen[-1], earlier) for earlier in seen[-5:])

        wait_for(is_still, "an image that stands still")
        return seen[-1]


@contextmanager
def started(screen: Screen, folder: Path, *arguments: str, **environment: str) -> Iterator[Program]:
    """Run the program; returns once its two cameras are shown."""
    output = folder / "output.txt"
    command = [sys.executable, "-m", "tests.rigs.window_program", *arguments]
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command, cwd=ROOT, env=screen.environment | environment, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        program = Program(screen, process, output)
        try:
            screen.focus(TITLE)
            wait_for(lambda: program.looks().max(axis=2).std() > 20, "images of the cameras")
            yield program
        finally:
            process.kill()
            sys.stderr.write(output.read_text())  # pytest shows it with a failure


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_a_key_ends_the_program_cleanly(screen: Screen, tmp_path: Path, key: str) -> None:
    """It exits with status 0 and full accounting, even on a desktop that asks Qt for Wayland."""
    with started(screen, tmp_path, QT_QPA_PLATFORM="wayland", XDG_SESSION_TYPE="wayland") as program:
        screen.press(key)
        assert program.exit_status() == 0
        program.says("ended: {'door': (")


def test_the_cross_of_the_window_ends_the_program_cleanly(screen: Screen, tmp_path: Path) -> None:
    """The cross sends the window manager's close event."""
    with started(screen, tmp_path) as program:
        screen.close(TITLE)
        assert program.exit_status() == 0
        program.says("ended: ")


def test_the_colormap_key_repaints_the_depth_only(screen: Screen, tmp_path: Path) -> None:
    """The camera's image stays the same; the depth has the colours of the next map."""
    with started(screen, tmp_path, "--still") as program:
        before = program.settled()
        screen.press("c")
        program.says("colormap=turbo")
        wait_for(lambda: program.differs_from(before), "other colours")
        after = program.settled()
    middle, yard = before.shape[1] // 2, slice(before.shape[0] * 4 // 10, before.shape[0] * 6 // 10)
    np.testing.assert_array_equal(after[:, :middle], before[:, :middle])
    for image, colormap in ((before, "inferno"), (after, "turbo")):
        column = image[yard, -20].astype(int)
        distance = np.abs(column[:, None] - lut(colormap).astype(int)).max(axis=2).min(axis=1)
        assert distance.max() < 8, f"not the colours of {colormap}"


def test_space_freezes_and_goes_on(screen: Screen, tmp_path: Path) -> None:
    """A moving image stops with a notice, and moves again."""
    with started(screen, tmp_path) as program:
        wait_for(lambda: program.differs_from(program.looks()), "movement")
        screen.press("space")
        still = program.settled()
        assert (still[-20:, :250] == 255).any(), "it says that it is frozen"
        screen.press("space")
        wait_for(lambda: program.differs_from(still), "movement")
        wait_for(lambda: program.differs_from(program.looks()), "movement")


def test_the_range_is_held_and_follows_again(screen: Screen, tmp_path: Path) -> None:
    """The key r is pressed twice."""
    with started(screen, tmp_path) as program:
        screen.press("r")
        program.says("colormap=inferno range=fixed")
        screen.press("c", "r")
        program.says("colormap=turbo range=follows")


def test_help_comes_and_goes(screen: Screen, tmp_path: Path) -> None:
    """One line covers the lower edge; everything else stays."""
    with started(screen, tmp_path, "--still") as program:
        before = program.settled()
        screen.press("h")
        wait_for(lambda: program.differs_from(before), "a line of help")
        with_help = program.settled()
        np.testing.assert_array_equal(with_help[:-30], before[:-30])
        assert ((with_help[-30:] > 200).all(axis=2).sum()) > 500, "it has words"
        screen.press("h")
        wait_for(lambda: not program.differs_from(before), "the image without help")


def test_other_keys_and_minimising_end_nothing(screen: Screen, tmp_path: Path) -> None:
    """The left arrow would be a Q in 8 bits; a minimised window is not closed."""
    with started(screen, tmp_path) as program:
        screen.press("Left", "x", "F1", "shift+a", "Return")
        screen.minimise(TITLE)
        screen.focus(TITLE)
        seen = program.looks()
        wait_for(lambda: program.differs_from(seen), "a window that is alive")
        assert program.runs
        screen.press("q")
        assert program.exit_status() == 0


def test_a_larger_window_is_filled(screen: Screen, tmp_path: Path) -> None:
    """Tiles grow with the window; the rest is black, and nothing is stretched."""
    with started(screen, tmp_path, "--still") as program:
        small = program.settled()
        screen.resize(TITLE, Size(900, 1600))
        wait_for(lambda: program.looks().shape == (900, 1600, 3), "the new size")
        large = program.settled()
    assert not large[:, :40].any(), "black beside the tiles"

    bright = [int(np.count_nonzero(image.max(axis=2) > 60)) for image in (small, large)]
    assert bright[1] > 1.1 * bright[0]


def test_the_window_stays_on_a_small_screen(tmp_path: Path) -> None:
    """The screen limits its size, not only 1600 x 900."""
    with x_screen(Size(480, 800)) as small, started(small, tmp_path, "--still") as program:
        program.settled()
        rows, columns = small.place(TITLE)
        assert rows.stop <= 480
        assert columns.stop <= 800


SHORT = """
from stream.render.panels import side_by_side
from stream.sinks.window.sink import WindowLoop, WindowSink
from stream.core.view_controls import ViewControls
for title in ("first", "second"):
    with WindowLoop(title, WindowSink(), ViewControls(), row=side_by_side) as window:
        assert all(window.poll() for _ in range(10))
    assert not window.poll()
"""


def opened(screen: Screen, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SHORT]
    return subprocess.run(
        command, cwd=ROOT, env=screen.environment | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_second_window_can_follow_the_first(screen: Screen) -> None:
    """Two windows follow each other in one process, as two runs in a notebook."""
    done = opened(screen)
    assert done.returncode == 0, done.stderr


def test_a_server_that_starts_anew_without_clients_is_no_trouble(tmp_path: Path) -> None:
    """xvfb-run's does: had our probe left before Qt came, it would refuse Qt, and Qt would abort (exit status -6).

    A later program may find it starting anew, and then says so.
    """
    key = authority(tmp_path / "authority")
    with x_server(SIZE, "-auth", str(key)) as bare:
        statuses = [opened(bare, XAUTHORITY=str(key)).returncode for _ in range(4)]
    assert statuses[0] == 0
    assert set(statuses) <= {0, 1}


def test_a_server_that_refuses_us_is_an_error_and_no_abort(tmp_path: Path) -> None:
    """Another user's desktop raises our own error instead of SIGABRT."""
    with x_server(SIZE, "-auth", str(authority(tmp_path / "authority"))) as bare:
        done = opened(bare, XAUTHORITY="/dev/null")
    assert done.returncode == 1
    assert "UsageError: cannot open a window: the X server of DISPLAY=" in done.stderr
