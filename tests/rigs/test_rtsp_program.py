"""The RTSP camera as a program: ready line, commands, Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av
import pytest

from pipelines.drill.camera.console import Console
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.rigs.rtsp_client import watching

ROOT = Path(__file__).parents[2]


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.rigs.rtsp_camera", "--port", "0", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def answer(program: subprocess.Popen[str], line: str) -> str:
    """Send a command; returns the program's answer."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(line + "\n")
    program.stdin.flush()
    return program.stdout.readline()


@pytest.mark.slow
def test_the_program_shows_its_camera_until_ctrl_c() -> None:
    with running("--codec", "h265", "--size", "320x240", "--fps", "50", "--auth", "admin:secret") as program:
        assert program.stdout is not None
        ready = program.stdout.readline()
        assert "secret" not in ready
        url = ready.split()[1]
        with pytest.raises(av.error.HTTPUnauthorizedError), watching(url):
            pass
        with watching(url.replace("rtsp://", "rtsp://admin:secret@")) as images:
            assert [image.number for image in islice(images, 10)] == list(range(10))
            assert answer(program, "lose 2\nstatus").startswith("1 sessions")
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 130
        assert "Traceback" not in program.stdout.read()


@pytest.mark.slow
def test_commands_reach_the_camera(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong commands are explained in one line."""
    clip = Clip.test_pattern(fps=50, seconds=0.4, keyframe_every=10)
    with RtspCamera({"/cam": clip}, user="admin", password="old") as camera:
        console = Console(camera, clip, keyframe_every=10)
        with watching(camera.url("/cam", credentials=True)) as images:
            assert next(images).size == (320, 240)
            console.do("switch 160x128@50")
            assert any(image.size == (160, 128) for image in islice(images, 500)), "the size has not changed in 10 s"
            console.do("cut rst")
            console.do("password new words")
            console.do("password new")
            console.do("codec mjpeg")
        with watching(camera.url("/cam", credentials=True)) as images:
            assert next(images).size == (160, 128)
        for line in ("", "lose many", "cut sideways", "switch big", "codec vp9", "dance", "jump 1 2", "status", "help"):
            console.do(line)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "password does not take 2 values; see help"
    assert [line.partition(":")[0] for line in lines[1:5]] == ["lose", "cut", "switch", "codec"]
    assert lines[5].startswith('no command "dance"; commands: stall, ')
    assert lines[6] == "jump does not take 2 values; see help"
    assert lines[7].startswith("0 sessions, ")


@pytest.mark.slow
def test_a_port_that_is_taken_is_named() -> None:
    with RtspCamera({"/cam": Clip.test_pattern(seconds=0.4)}) as camera, running("--port", str(camera.port)) as program:
        assert program.stdout is not None
        assert program.stdout.read() == (
            f"cannot listen on 127.0.0.1 port {camera.port}: Address already in use; choose another --port\n"
        )
        assert program.wait(10) == 1
