"""How the program ends by a signal: while its modules are loaded, on a terminal that is closed, with its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import av
import pytest

AT_IMPORT = """
import os, sys
class Signal:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Signal())
sys.argv = ["depthstream", "rtsp", "lavfi:testsrc2=size=64x64:rate=10:duration=1"]
from pipelines.cli.entry import main
main()
"""


def interrupted_at(module: str, number: int) -> subprocess.CompletedProcess[str]:
    program = AT_IMPORT.format(module=module, number=int(number))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "module",
    ["pipelines.process.signals", "pipelines.cli.app", "typer.core", "pydantic.type_adapter", "pipelines.cli.live"],
)
def test_ctrl_c_while_modules_are_loaded_is_one_line(module: str) -> None:
    """Wherever it falls: no traceback, status 130."""
    done = interrupted_at(module, signal.SIGINT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "depthstream: interrupted\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_before_the_run_are_one_line(number: signal.Signals, status: int) -> None:
    """And have a status of their own."""
    done = interrupted_at("pipelines.cli.live", number)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"depthstream: ended by {number.name}\n")


def test_the_package_is_the_command() -> None:
    """`python -m pipelines`."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0
    assert "webcam" in done.stdout


def wait_for(holds: object, timeout_s: float = 60.0) -> None:
    end = monotonic() + timeout_s
    while not holds():  # type: ignore[operator]
        assert monotonic() < end, "what the test waits for did not come"
        sleep(0.02)


def children(pid: int) -> list[int]:
    """Of the process ``pid``."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for task in listed for word in task.read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demonstration that has begun to write its video, with temporary files of its own in ``tmp_path/tmp``."""
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "DEPTHSTREAM_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "pipelines", "demo", "--seconds", "300"]
    with (tmp_path / "out.txt").open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: list(tmp_path.glob("*.part.mp4")) or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGHUP, 129), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_the_demos_reader_ends_with_it(
    number: signal.Signals, status: int, demo: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """However it ends: no process and no folder is left; only SIGKILL leaves the video unfinished."""
    (reader,) = children(demo.pid)
    demo.send_signal(number)
    assert demo.wait(60) == status, (tmp_path / "out.txt").read_text()
    wait_for(lambda: not is_running(reader))
    wait_for(lambda: not list((tmp_path / "tmp").glob("depthstream-*")))
    assert (tmp_path / "demo.mp4").exists() == (number != signal.SIGKILL)


ON_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "pipelines", *sys.argv[1:]])
"""


@pytest.mark.slow
def test_a_terminal_that_is_closed_costs_no_file(tmp_path: Path) -> None:
    """What was to be printed is lost; the recording and the JSON are written."""
    ours, its = os.openpty()
    arguments = ["rtsp", "lavfi:testsrc2=size=64x64:rate=10", "--record", "live.mp4", "--json", "live.json"]
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=tmp_path,
        env={**os.environ, "DEPTHSTREAM_CACHE": str(tmp_path / "cache")},
        start_new_session=True,
    )
    os.close(its)
    try:
        wait_for(lambda: list(tmp_path.glob("*.part.mp4")) or process.poll() is not None)
        os.close(ours)
        assert process.wait(60) == 129
    finally:
        process.kill()
        process.wait()
    data = json.loads((tmp_path / "live.json").read_text())
    assert (data["error"], data["unaccounted"]) == (None, 0)
    with av.open(str(tmp_path / "live.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == data["accounts"][0]["published"] > 0
