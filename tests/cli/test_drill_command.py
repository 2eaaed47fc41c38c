"""`drill`: usage, a real drill in small against the test camera, and one against a camera of a config file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.drill.camera.camera import RtspCamera
from pipelines.drill.camera.clip import Clip
from pipelines.drill.scenarios import SCENARIOS

Command = Callable[..., Any]
DRILL = [sys.executable, "-m", "pipelines", "drill"]
WAIT_S = 300.0
"""A real drill takes 10 to 30 s, and a busy machine gets more."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give either a config file with cameras, or --test-camera"),
        (("robot", "--test-camera"), "give either a config file with cameras, or --test-camera"),
        (("--test-camera", "--only", "stal"), 'no scenario "stal"; did you mean "stall"?'),
        (("--test-camera", "--camera", "front"), "only one camera with --test-camera"),
        (("nothing.toml",), "nothing.toml: no such config file"),
        (("demo",), "no network camera to drill with"),
        (("--test-camera", "--json", "absent/x.json"), "cannot be written"),
    ],
)
def test_what_cannot_be_drilled_is_said_at_once(options: tuple[str, ...], message: str, depthstream: Command) -> None:
    """In one line; wrong usage with status 2."""
    called = depthstream("drill", *options)
    assert called.status == (1 if "--json" in options else 2)
    assert message in called.err


def test_the_name_of_a_camera_must_be_one_of_the_configs(tmp_path: Path, depthstream: Command) -> None:
    """The message lists those that there are."""
    called = depthstream("drill", write_config(tmp_path, "rtsp://127.0.0.1:9/cam"), "--camera", "back")
    assert called.status == 2
    assert 'no network camera "back"; network cameras there: front' in called.err


@pytest.mark.slow
def test_a_refused_password_is_tried_once_and_ends_no_other_drill(tmp_path: Path) -> None:
    """The message names the camera's own address; the second camera of the config is drilled all the same."""
    clip = Clip.test_pattern("h264", 160, 120, 25, 8, 25)
    with RtspCamera({"/cam": clip}, user="admin", password="geheim77") as shut, RtspCamera({"/cam": clip}) as camera:
        wrong = shut.url("/cam").replace("rtsp://", "rtsp://admin:wrong@")
        config = write_config(tmp_path, wrong)
        second = f'[[cameras]]\nsource = "rtsp"\nname = "back"\nurl = "{camera.url("/cam")}"\n'
        config.write_text(config.read_text() + second)
        status, data, text = drill(str(config), "--quick", "--only", "healthy", cwd=tmp_path)
        described = [method for method, _ in shut.requests if method == "DESCRIBE"]
    assert status == 1
    assert f'camera "front": rtsp://admin:***@127.0.0.1:{shut.port}/cam: the camera refused' in text
    assert "no drill with front: see above" in text
    assert [each["camera"] for each in data["scenarios"]] == ["back"], text
    assert len(described) == 2  # without the password, and once with it


def write_config(folder: Path, url: str) -> Path:
    config = folder / "cameras.toml"
    camera = f'[[cameras]]\nsource = "rtsp"\nname = "front"\nurl = "{url}"\n'
    config.write_text(f'pipeline = "rtsp"\n{camera}', encoding="utf-8")
    return config


def drill(*arguments: str, cwd: Path) -> tuple[int, dict[str, Any], str]:
    """Run the real command; returns its status, its JSON and what it wrote."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*DRILL, *arguments, "--json", "out.json"]
    ended = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    return ended.returncode, json.loads((cwd / "out.json").read_text()), ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_real_drill_with_the_test_camera(tmp_path: Path) -> None:
    """What made images lie before: no promise is broken, every figure was measured, and the page has the results."""
    tried = ["stall", "silent-loss", "slower-link", "suspend"]
    only = [word for name in tried for word in ("--only", name)]
    status, data, text = drill("--test-camera", "--quick", *only, "--page", "page.md", cwd=tmp_path)
    assert [each["scenario"] for each in data["scenarios"]] == tried, text
    assert data["complete"]
    assert status == (1 if data["broken"] else 0)
    assert data["broken"] == 0, text
    promises = {each["promise"]: each for scenario in data["scenarios"] for each in scenario["findings"]}
    assert {"never young", "never behind", "stall noticed", "back", "stop", "left behind"} <= set(promises)
    assert not [each for each in promises.values() if each["verdict"] == "not measured"]
    assert "never young" in (tmp_path / "page.md").read_text()


@pytest.mark.slow
def test_a_camera_of_the_users_with_a_password(tmp_path: Path) -> None:
    """Its RTP times are the witness; the password passes the proxy and appears nowhere."""
    clip = Clip.test_pattern("h264", 160, 120, 25, 8, 25)
    with RtspCamera({"/cam": clip}, user="admin", password="geheim77") as camera:
        config = write_config(tmp_path, camera.url("/cam", credentials=True))
        options = ("--quick", "--only", "healthy", "--only", "size")
        status, data, text = drill(str(config), *options, cwd=tmp_path)
    assert status == (1 if data["broken"] else 0)
    assert "geheim77" not in text + json.dumps(data)
    healthy = {each["promise"]: each for each in data["scenarios"][0]["findings"]}
    assert healthy["never young"]["verdict"] in ("kept", "inconclusive"), text
    assert [each["scenario"] for each in data["skipped"]] == ["size"]


@pytest.mark.slow
def test_ctrl_c_ends_with_what_is_known(tmp_path: Path) -> None:
    """Status 130, JSON that says that it is incomplete, and no process left."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*DRILL, "--test-camera", "--quick", "--only", "healthy", "--only", "slow-link", "--json", "out.json"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if line.startswith("slow-link"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.wait(WAIT_S) == 130, rest
    data = json.loads((tmp_path / "out.json").read_text())
    assert not data["complete"]
    assert [each["scenario"] for each in data["scenarios"]] == ["healthy"]


def test_the_help_of_only_leads_to_the_names(depthstream: Command) -> None:
    """A wrong name lists them all."""
    called = depthstream("drill", "--test-camera", "--only", "x")
    assert all(scenario.name in called.err for scenario in SCENARIOS)
