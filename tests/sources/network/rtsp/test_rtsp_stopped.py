"""A reading process that was stopped dates what waited for it by its arrival, not by the reading."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.sources.network.rtsp.rtsp_reading import DATA, wait_until

FPS = 25
MISSED = 40
"""Images that are sent while the process is stopped: 1.6 s."""
TOO_YOUNG_NS = 100_000_000
"""An age may be too low by this much."""


@contextmanager
def child(url: str, transport: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    arguments = [sys.executable, "-m", "tests.sources.network.rtsp.rtsp_child", url, transport, "insecure"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["tcp", "udp", "tls"])
def test_no_image_is_younger_than_it_is(way: str) -> None:
    tls = None
    if way == "tls":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(DATA / "camera.pem")
    clip = Clip.test_pattern("h264", 320, 240, FPS, 4, 25)
    with (
        RtspCamera({"/cam": clip}, tls=tls) as camera,
        child(camera.url("/cam"), "udp" if way == "udp" else "tcp") as (process, lines),
    ):
        seen = [lines.readline().split() for _ in range(15)]
        process.send_signal(signal.SIGSTOP)
        before = camera.sent("/cam")
        wait_until(lambda: camera.sent("/cam") >= before + MISSED)
        process.send_signal(signal.SIGCONT)
        seen += [lines.readline().split() for _ in range(MISSED + 10)]
        sent_ns = [entry.mono_s * 1e9 for entry in camera.log("/cam")]
    waited_ns = [int(entry[2]) for entry in seen]
    assert max(waited_ns[15:]) > 1_000_000_000  # else nothing was tried
    for (_, first_ns, _), sent in zip(seen, sent_ns, strict=False):
        assert int(first_ns) - sent < TOO_YOUNG_NS
