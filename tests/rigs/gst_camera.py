"""A second, independent RTSP camera: Debian's GStreamer server in a child process; see docs/how-to/rigs.md.

    with GstCamera("h265", user="admin", password="p@ss") as camera:
        watch(camera.url)

Needs packages from apt; ``missing()`` says which, so that a test can skip with a reason.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import numpy as np

from stream.frames import Image, Size

PYTHON = "/usr/bin/python3"
"""Debian's own Python, the only one for which apt installs ``gi``."""
PROGRAM = Path(__file__).with_name("gst_camera_program.py")
PACKAGES = {
    "lib/python3/dist-packages/gi/__init__.py": "python3-gi",
    "lib/*/girepository-1.0/GstRtspServer-1.0.typelib": "gir1.2-gst-rtsp-server-1.0",
    "lib/*/girepository-1.0/GstApp-1.0.typelib": "gir1.2-gst-plugins-base-1.0",
    "lib/*/gstreamer-1.0/libgstapp.so": "gstreamer1.0-plugins-base",
    "lib/*/gstreamer-1.0/libgstrtpmanager.so": "gstreamer1.0-plugins-good",
    "lib/*/gstreamer-1.0/libgstx265.so": "gstreamer1.0-plugins-bad",
    "lib/*/gstreamer-1.0/libgstx264.so": "gstreamer1.0-plugins-ugly",
}
"""The file below /usr and the Debian package that contains it."""
SIZE = Size(240, 320)
PATIENCE_S = 20.0
"""Seconds: it starts in half a second, but a busy machine gets this long."""
BITS, BLOCK_PX, ROW_PX = 24, 8, 16
"""The same values as in gst_camera_program.py."""


def missing() -> str:
    """The command that installs the missing packages; empty if none is missing."""
    packages = [package for file, package in PACKAGES.items() if not any(Path("/usr").glob(file))]
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}" if packages else ""


class GstCamera:
    """A server with one path, ``/cam``, whose moving image carries its time and number (``read_stamp``)."""

    def __init__(
        self,
        codec: Literal["h264", "h265"] = "h264",
        size: Size = SIZE,
        fps: int = 25,
        *,
        user: str = "",
        password: str = "",
        auth: Literal["digest", "basic"] = "digest",
    ) -> None:
        self._user, self._password = user, password
        self._settings: dict[str, str | int] = {"codec": codec, "width": size.width, "height": size.height, "fps": fps}
        self._settings |= {"user": user, "password": password, "auth": auth}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        """The system chooses it at the first start; later starts keep it."""

    def __enter__(self) -> Self:
        self.restart()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """The URL with user and password, if the camera has them."""
        return self.url_with(self._user, self._password)

    def url_with(self, user: str, password: str, path: str = "/cam") -> str:
        credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"rtsp://{credentials}127.0.0.1:{self.port}{path}"

    def stall(self) -> None:
        """Stop the images; connections stay and requests are answered."""
        self._tell("stall")

    def resume(self) -> None:
        self._tell("resume")

    def resize(self, size: Size) -> None:
        """Change the size of the running stream, which must have a viewer."""
        self._tell(f"size {size}")

    def kill(self) -> None:
        """Kill the server with SIGKILL, so that it closes nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def restart(self) -> None:
        """Start, or start again after ``kill``, on the same port."""
        assert self._process is None, "it runs"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        self._process = subprocess.Popen(
            [PYTHON, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )
        self.port = int(self._tell(json.dumps(self._settings | {"port": self.port})).removeprefix("ready "))

    def _tell(self, line: str) -> str:
        """Send a command and return the answer."""
        process = self._process
        assert process is not None, "it is not running"
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{line}\n".encode())
        answered, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        answer = process.stdout.readline().decode().strip() if answered else ""
        assert answer, f"the GStreamer camera did not answer (exit status {process.poll()})"
        return answer


def read_stamp(image: Image) -> tuple[int, int]:
    """Time (ms of the monotonic clock modulo 2^24) and number of an (H, W, 3) uint8 image."""
    time_ms, number = (_read_row(image, row * ROW_PX) for row in (0, 1))
    return time_ms, number


def age_ms(image: Image, mono_ns: int) -> int:
    """Milliseconds from the creation of the image to ``mono_ns``; negative if it was created later."""
    wrap = 1 << BITS
    return (mono_ns // 1_000_000 - read_stamp(image)[0] + wrap // 2) % wrap - wrap // 2


def _read_row(image: Image, top: int) -> int:
    middles = np.arange(BITS) * BLOCK_PX + BLOCK_PX // 2
    bright = image[top + ROW_PX // 2, middles].mean(axis=1) > 128
    return sum(1 << bit for bit in range(BITS) if bright[bit])
