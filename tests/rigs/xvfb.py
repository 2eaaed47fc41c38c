"""A screen, a keyboard and a window manager of one's own: Xvfb with openbox, driven by xdotool and wmctrl.

    with x_screen() as screen:
        program = subprocess.Popen(..., env=screen.environment)
        screen.focus("depthstream")
        screen.press("q")

Needs programs from apt; ``missing()`` says which, so that a test can skip with a reason.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from stream.core.clock import Deadline
from stream.frames import Image, Size

PACKAGES = {
    "Xvfb": "xvfb",
    "xdotool": "xdotool",
    "xwininfo": "x11-utils",
    "import": "imagemagick",
    "openbox": "openbox",
    "wmctrl": "wmctrl",
}
"""The program and the Debian package that contains it."""
SIZE = Size(1000, 1700)
"""Size of the screen."""
PATIENCE_S = 20.0
"""Seconds: everything here takes a fraction of a second, but a busy machine gets this long."""
PAUSE_S = 0.05
"""Seconds between two screenshots: X has no event for "the program has drawn"."""


def missing() -> str:
    """The command that installs the missing programs; empty if none is missing."""
    packages = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}" if packages else ""


@dataclass(frozen=True, slots=True)
class Screen:
    """A running X server with a window manager."""

    display: str
    """The display's name, as in DISPLAY: ``:93``."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment of programs that should use this screen."""
        ours = {name: value for name, value in os.environ.items() if name not in {"WAYLAND_DISPLAY", "XAUTHORITY"}}
        return ours | {"DISPLAY": self.display}

    def windows(self) -> dict[str, str]:
        """The title and the window manager's number of every managed window."""
        listed = self._run("wmctrl", "-l")  # fails while there has never been a window
        lines = [line.split(maxsplit=3) for line in listed.stdout.splitlines()] if listed.returncode == 0 else []
        return {line[3]: line[0] for line in lines if len(line) == 4}

    def focus(self, title: str) -> None:
        """Focus the window whose title starts with ``title`` as soon as it exists."""
        self._ask("xdotool", "windowactivate", "--sync", self._number(title))

    def press(self, *keys: str) -> None:
        """Press keys one after another: ``press("c", "space", "Left")``; they go to the window with the focus."""
        self._ask("xdotool", "key", "--delay", "100", *keys)

    def close(self, title: str) -> None:
        """Close the window with the close event of its cross."""
        self._ask("wmctrl", "-i", "-c", self._number(title))

    def minimise(self, title: str) -> None:
        self._ask("xdotool", "windowminimize", "--sync", self._number(title))

    def resize(self, title: str, size: Size) -> None:
        self._ask("wmctrl", "-i", "-r", self._number(title), "-e", f"0,-1,-1,{size.width},{size.height}")

    def place(self, title: str) -> tuple[slice, slice]:
        """The window's rows and columns in a screenshot, without its frame."""
        # Not xdotool: it counts the window manager's frame twice.
        lines = self._ask("xwininfo", "-id", self._number(title)).splitlines()
        at = {name.strip(): value for name, _, value in (line.partition(":") for line in lines)}
        names = ("Absolute upper-left Y", "Height", "Absolute upper-left X", "Width")
        y, height, x, width = (int(at[name]) for name in names)
        return slice(y, y + height), slice(x, x + width)

    def screenshot(self, path: Path) -> Image:
        """The whole screen, (H, W, 3) uint8 BGR, also written to ``path`` (PNG)."""
        import cv2

        self._ask("import", "-window", "root", "-depth", "8", "-quality", "10", f"png24:{path}")
        return cast(Image, cv2.imread(str(path)))

    def _number(self, title: str) -> str:
        def found() -> str | None:
            return next((number for name, number in self.windows().items() if name.startswith(title)), None)

        return cast(str, wait_for(found, f"a window titled {title}"))

    def _ask(self, *command: str) -> str:
        done = self._run(*command)
        assert done.returncode == 0, f"{' '.join(command)}: exit status {done.returncode}: {done.stderr}"
        return done.stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )


@contextmanager
def x_screen(size: Size = SIZE) -> Iterator[Screen]:
    """Run an X server with a window manager; both are stopped at the end."""
    with x_server(size, "-noreset") as screen, _running(["openbox", "--sm-disable"], env=screen.environment):
        wait_for(lambda: _is_managed(screen), "openbox")
        yield screen


@contextmanager
def x_server(size: Size = SIZE, *options: str) -> Iterator[Screen]:
    """Run a bare X server on a free display."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{size}x24", "-nolisten", "tcp", *options]
    with _running(command, pass_fds=(writer,)):
        os.close(writer)
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()  # Xvfb writes it when it is ready, or ends
        assert number, "Xvfb did not start"
        yield Screen(f":{number}")


def authority(path: Path) -> Path:
    """Write an authority file for XAUTHORITY and the option ``-auth``; returns ``path``."""
    any_address, name = struct.pack(">HHH", 0xFFFF, 0, 0), b"MIT-MAGIC-COOKIE-1"
    path.write_bytes(any_address + struct.pack(">H", len(name)) + name + struct.pack(">H", 16) + os.urandom(16))
    return path


def wait_for(look: Callable[[], object], what: str) -> object:
    """Poll until ``look`` returns a true value and return that; raises AssertionError if none comes in time."""
    deadline = Deadline.after(PATIENCE_S)
    while not (seen := look()):
        assert not deadline.passed, f"waited {PATIENCE_S:g} s for {what}"
        time.sleep(PAUSE_S)
    return seen


def _is_managed(screen: Screen) -> bool:
    done = subprocess.run(["wmctrl", "-m"], env=screen.environment, capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def _running(
    command: list[str], *, pass_fds: tuple[int, ...] = (), env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command, pass_fds=pass_fds, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
            process.kill()
