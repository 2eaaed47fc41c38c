"""`--watch-config`: cameras come, change and go while the program runs; real RTSP cameras, real readers."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stream.client import Subscriber
from stream.errors import StaleFrame
from tests.rigs.rtsp_camera import Clip, RtspCamera

PATIENCE_S = 120.0
"""More than any step needs on a busy machine; no test waits that long when all is well."""
FPS = 5
"""A key frame comes once a second."""
TOP = """\
pipeline = "robot"
[publish]
endpoints = ["ipc://{folder}/depth"]
max_age_ms = 60000
[model]
name = "tiny"
"""
CAMERA = '[[cameras]]\nsource = "rtsp"\nname = "{name}"\nurl = "{url}"\ntransport = "tcp"\n'


def wait_until(condition: Callable[[], object], what: str) -> None:
    pause, end = threading.Event(), time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not in {PATIENCE_S:g} s: {what}"
        pause.wait(0.05)


class Program:
    """The command in a process of its own; its standard error is read all the time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines = process, queue.Queue[str]()
        self.heard: list[str] = []
        assert process.stderr is not None
        self.thread = threading.Thread(target=lambda: [self.lines.put(line) for line in process.stderr or ()])
        self.thread.start()

    def wait_for(self, text: str) -> str:
        """The next line with ``text`` in it."""
        end = time.monotonic() + PATIENCE_S
        while True:
            line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            self.heard.append(line)
            if text in line:
                return line

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def running(cache: Path, folder: Path, *arguments: object) -> Iterator[Program]:
    command = [sys.executable, "-m", "pipelines", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "DEPTHSTREAM_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        program.thread.join()
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.test_pattern(codec="h264", width=96, height=64, fps=FPS, seconds=4, keyframe_every=FPS)


def config(path: Path, cameras: dict[str, str], extra: str = "") -> None:
    """Write the file as an editor does: a new file takes the place of the old one."""
    tables = "".join(CAMERA.format(name=name, url=url) for name, url in cameras.items())
    new = path.with_suffix(".new")
    new.write_text(TOP.format(folder=path.parent) + extra + tables)
    new.replace(path)


def frame(reader: Subscriber, after: int = -1) -> int:
    """The number of a frame later than ``after``."""
    while (seq := reader.read(PATIENCE_S).header.seq) <= after:
        pass
    return seq


def why_no_frame(reader: Subscriber) -> str:
    """Read what is left, then the error of a read."""
    while True:
        try:
            reader.read(0.5)
        except StaleFrame as stale:
            return str(stale)


@pytest.mark.slow
def test_cameras_come_change_and_go_and_the_others_do_not_notice(
    cache_folder: Path, tmp_path: Path, clip: Clip
) -> None:
    """By a changed file and by SIGHUP; a broken file changes nothing; every frame is accounted for."""
    path, json_file = tmp_path / "robot.toml", tmp_path / "run.json"
    with RtspCamera({"/steady": clip, "/one": clip, "/two": clip}) as camera:
        steady, one, two = (camera.url(f"/{name}") for name in ("steady", "one", "two"))
        config(path, {})
        command = ("publish", path, "--watch-config", "--json", json_file)
        with running(cache_folder, tmp_path, *command) as program:
            program.wait_for("publishing no camera yet on ipc:")
            config(path, {"steady": steady})
            program.wait_for("cameras: added steady")
            endpoint = f"ipc://{tmp_path}/depth"
            with Subscriber(endpoint, "steady") as front, Subscriber(endpoint, "side") as side:
                seen = frame(front)

                config(path, {"steady": steady, "side": one})
                program.wait_for("cameras: added side")
                side_seq = frame(side)

                config(path, {"steady": steady, "side": two})  # another address
                program.wait_for("cameras: changed side")
                wait_until(lambda: camera.sent("/two"), "the changed camera is read")
                wait_until(lambda: not any("/one" in url for url in playing(camera)), "the old one is left")
                side_seq = frame(side, after=side_seq)

                path.write_text(path.read_text().replace("[[cameras]]", "[[cameras"))
                assert "not valid TOML" in (line := program.wait_for("the cameras stay as they are"))
                assert len(line.splitlines()) == 1
                seen, side_seq = frame(front, after=seen), frame(side, after=side_seq)

                config(path, {"steady": steady, "side": two}, extra="side = 160\n")
                assert "restart to apply model.side; only" in program.wait_for("restart to apply")

                config(path, {"steady": steady})
                program.process.send_signal(signal.SIGHUP)
                program.wait_for("cameras: removed side")
                wait_until(lambda: side.health.is_removed, "the reader is told")
                assert "the camera is removed" in side.health.status["reason"]
                assert "the publisher's settings name it no longer" in why_no_frame(side)
                seen = frame(front, after=seen)
                assert front.health.restarts == 0
                sent = camera.sent("/steady")
            assert program.end() == 143
        assert [method for method, url in camera.requests if method == "PLAY" and "/steady" in url] == ["PLAY"]
    check_accounts(json.loads(json_file.read_text()), sent)


def playing(camera: RtspCamera) -> list[str]:
    """Addresses of the sessions that were begun and not ended."""
    urls: list[str] = []
    for method, url in camera.requests:
        if method == "PLAY":
            urls.append(url)
        elif method == "TEARDOWN" and urls:
            urls = [other for other in urls if other.rstrip("/") != url.rstrip("/")]
    return urls


def check_accounts(data: dict[str, Any], sent: int) -> None:
    assert data["unaccounted"] == 0
    accounts = {account["camera"]: account for account in data["accounts"]}
    assert accounts["side"]["is_removed"]
    assert not accounts["steady"]["is_removed"]
    # All that the camera sent, but for what was on its way, and the images before the first key frame.
    assert sent - 3 * FPS <= accounts["steady"]["captured"]
    assert [health["name"] for health in data["cameras"] if "state" in health] == ["steady"]
    assert data["cameras"][0]["reconnects"] == 0


def test_a_pipe_cannot_be_watched(depthstream: Callable[..., Any], tmp_path: Path) -> None:
    """It is not read, either."""
    os.mkfifo(tmp_path / "pipe.toml")
    called = depthstream("run", "pipe.toml", "--watch-config")
    assert called.status == 2
    assert called.err == (
        "depthstream: pipe.toml: --watch-config needs a file that can be read again, not a pipe or a device\n"
    )


def test_a_pipeline_of_files_cannot_change(depthstream: Callable[..., Any]) -> None:
    """Its input is read to the end."""
    called = depthstream("run", "video", "--watch-config", "--set", "cameras.0.path=x.mp4")
    assert called.status == 2
    assert 'the input of pipeline = "video" cannot change: run it without --watch-config' in called.err
