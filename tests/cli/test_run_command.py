"""`run`, `demo` and `bench` on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

CONFIGS = Path(__file__).parents[2] / "configs"
Command = Callable[..., Any]
SMALL = ("--set", "camera.width=96", "--set", "camera.height=64", "--set", "camera.fps=20")


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.slow
def test_the_demo_writes_a_video_and_a_table(depthstream: Command, tmp_path: Path) -> None:
    """The table has the rate, the age, the stages, the edges, the account and the error against the truth."""
    called = depthstream("demo", "--seconds", 4, "-o", "d.mp4", "--json", "d.json")
    assert called.status == 0, called.err
    for words in ("fps", "frame age", "preprocess", "infer", "blocked", "starved", "drops by reason", "captured ="):
        assert words in called.out
    assert "spearman" in called.out
    data = json.loads((tmp_path / "d.json").read_text())
    assert data["unaccounted"] == 0
    assert data["error"] is None
    assert frames_in(tmp_path / "d.mp4") == data["accounts"][0]["published"] > 0
    reader = data["statistics"]["a reader"]
    assert reader["frames"] > 0, "another process reads what is published"
    assert reader["age p50 ms"] > 0


def test_an_output_that_is_no_mp4_is_a_usage_error(depthstream: Command) -> None:
    """Before anything runs, with the path."""
    called = depthstream("demo", "-o", "demo.avi")
    assert called.status == 2
    assert called.err == 'depthstream: depthstream demo: [record] path = "demo.avi" must end in .mp4\n'


@pytest.mark.slow
def test_run_takes_a_config_and_changes(depthstream: Command, tmp_path: Path) -> None:
    """`--set` decides what is run and how long, `--stats` prints the table meanwhile; however slow the machine is."""
    how = ("--set", "camera.seconds=2", "--stats", 0.1, "--json", "run.json")
    called = depthstream("run", CONFIGS / "demo.toml", *SMALL, *how)
    assert called.status == 0, called.err
    assert "captured =" in called.err
    account = json.loads((tmp_path / "run.json").read_text())["accounts"][0]
    assert account["captured"] == account["published"] + sum(account["dropped"].values())
    assert (tmp_path / "demo.mp4").exists()


@pytest.mark.slow
def test_a_video_by_config(depthstream: Command, clip: Path, tmp_path: Path) -> None:
    """configs/video.toml with another path: every frame."""
    called = depthstream("run", CONFIGS / "video.toml", "--set", f"cameras.0.path={clip}", "--set", "record.path=o.mp4")
    assert called.status == 0, called.err
    assert "24 captured = 24 published + 0 dropped" in called.out
    assert frames_in(tmp_path / "o.mp4") == 24


@pytest.mark.slow
def test_the_table_says_a_cameras_name_as_it_is(depthstream: Command, clip: Path) -> None:
    """Brackets are no markup, also where they would close one."""
    changes = ("--set", f"cameras.0.path={clip}", "--set", "cameras.0.name='[/b] [x]'", "--set", "record.path=o.mp4")
    called = depthstream("run", CONFIGS / "video.toml", *changes)
    assert called.status == 0, called.err
    assert "[/b] [x]: 24 captured = 24 published" in called.out
    assert "capture.[/b] [x]" in called.out


def test_a_missing_video_is_one_line(depthstream: Command) -> None:
    """Exit status 1, and no table of zeros."""
    called = depthstream("run", CONFIGS / "video.toml", "--set", "cameras.0.path=nothing.mp4")
    assert called.status == 1
    assert called.err.startswith("depthstream: nothing.mp4: ")
    assert len(called.err.strip().splitlines()) == 1
    assert called.out == ""


def test_a_json_file_that_cannot_be_written_is_reported_first(depthstream: Command, tmp_path: Path) -> None:
    """Before anything was run."""
    called = depthstream("run", CONFIGS / "demo.toml", "--json", "no/such/folder.json")
    assert called.status == 1
    assert "cannot be written" in called.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("config", ["nothing.toml", "."])
def test_a_config_that_cannot_be_read_is_a_usage_error(config: str, depthstream: Command) -> None:
    """Missing, or a folder."""
    called = depthstream("run", config)
    assert called.status == 2
    assert len(called.err.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_live_run_ends_on_a_signal_with_its_table(
    number: signal.Signals, status: int, depthstream: Command, tmp_path: Path
) -> None:
    """The mp4 is finished, the account closes, and there is no traceback."""
    command = [sys.executable, "-m", "pipelines", "run", str(CONFIGS / "demo.toml"), *SMALL]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("*.part.mp4")):
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "captured =" in out
    assert "in flight" not in out
    assert "Traceback" not in err
    assert frames_in(tmp_path / "demo.mp4") > 0


def test_a_question_that_does_not_exist_is_a_usage_error(depthstream: Command) -> None:
    """With the nearest one."""
    called = depthstream("bench", "--only", "tutoral")
    assert called.status == 2
    assert 'did you mean "tutorial"?' in called.err


@pytest.mark.slow
def test_debug_shows_where(depthstream: Command) -> None:
    """--debug shows the traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "--debug", "check", "nothing.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "SettingsError" in done.stderr
