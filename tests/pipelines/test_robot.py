"""Cameras to readers: the robot pipeline with real cameras, real sockets and readers in processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from pipelines import robot
from stream.client.subscriber import Subscriber
from stream.core.config_file import parse
from stream.errors import SettingsError, StaleFrame
from stream.runtime.pipeline import Pipeline
from stream.wire.codes import WireKind
from tests.rigs.rtsp_camera import Clip, RtspCamera

CONFIG = Path(__file__).parents[2] / "configs" / "robot.toml"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Traces of this file's tests are kept apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "robot-cache"))


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/depth"


def scene(name: str, **changes: Any) -> dict[str, Any]:
    return {"source": "synthetic", "name": name, "width": 96, "height": 64, "fps": 10, **changes}


def build(endpoint: str, *cameras: dict[str, Any], **tables: Any) -> Pipeline:
    data = {"pipeline": "robot", "cameras": cameras, "publish": {"endpoints": [endpoint]}, **tables}
    return robot.build(parse(robot.RobotSettings, data, "test"))


def until(subscriber: Subscriber, holds: Callable[[Any], bool], timeout_s: float = 15.0) -> Any:
    """The first status for which it holds."""
    end = monotonic() + timeout_s
    while monotonic() < end:
        with suppress(StaleFrame):
            subscriber.read(0.2)
        status = subscriber.health.status
        if status and holds(status):
            return status
    raise AssertionError(f"the last status was {subscriber.health.status}")


@pytest.mark.slow
def test_two_cameras_each_with_a_stream_of_its_own(endpoint: str) -> None:
    """Relative depth says that it is; intrinsics, info and status come with it, and every frame is accounted for."""
    with build(endpoint, scene("left"), scene("left2", seed=1)), Subscriber(endpoint, "left") as reader:
        messages = [reader.read(20.0) for _ in range(5)]
        status = until(reader, lambda s: s.get("published", 0) > 2)
        info = reader.health.info
    assert {message.header.topic for message in messages} == {"depth/left"}
    assert all(message.header.kind == WireKind.RELATIVE_INVERSE for message in messages)
    assert all(message.header.scale == 0 for message in messages)
    depth = messages[0].depth()
    assert depth.shape == (64, 96)
    assert np.isfinite(depth).all()
    assert messages[0].intrinsics is not None
    seqs = [message.header.seq for message in messages]
    assert seqs == sorted(set(seqs))
    assert info is not None
    assert (info["model"], info["kind"], info["unit"], info["fps"]) == ("tiny", "relative_inverse", "none", 10)
    assert status["state"] == "LIVE"
    assert status["captured"] == status["published"] + status["in_flight"] + sum(status["dropped"].values())


def test_previews_are_made_for_those_who_look(endpoint: str) -> None:
    """A JPEG in colours, of the camera's size, for the first subscriber."""
    pipe = build(endpoint, scene("front"))
    with pipe:
        with Subscriber(endpoint, "front") as reader:
            reader.read(20.0)
        assert pipe.stats().statistics["publisher"]["previews"] == 0
        with Subscriber(endpoint, "front", topic="preview") as viewer:
            image = viewer.read(20.0).array()
        assert pipe.stats().statistics["publisher"]["previews"] >= 1
    assert image.shape == (64, 96, 3)
    assert image.std() > 10


@pytest.mark.slow
def test_depth_that_is_too_old_is_dropped_and_counted(endpoint: str) -> None:
    """The status names the reason why no depth comes."""
    pipe = build(endpoint, scene("front"), publish={"endpoints": [endpoint], "max_age_ms": 0.5})
    with pipe, Subscriber(endpoint, "front") as reader:
        status = until(reader, lambda s: any("too old" in place for place in s.get("dropped", ())))
        with pytest.raises(StaleFrame, match=r"STALE|OFFLINE"):
            reader.read_latest(300)
    assert status["state"] in ("STALE", "OFFLINE")
    assert "max_age_ms" in status["reason"]
    (account,) = pipe.stats().accounts
    assert account.published == 0
    assert sum(count for place, count in account.dropped.items() if "too old" in place) > 0
    assert account.in_flight == 0


@pytest.mark.slow
def test_a_camera_that_goes_away_and_comes_back(endpoint: str) -> None:
    """OFFLINE with the reason, also before it was ever there; LIVE again by itself."""
    clip = Clip.test_pattern(codec="h264", width=160, height=120, fps=12, seconds=2, keyframe_every=12)
    with RtspCamera({"/cam": clip}) as camera:
        camera.refuse()
        source = {"source": "rtsp", "name": "door", "url": camera.url("/cam")}
        with build(endpoint, source), Subscriber(endpoint, "door") as reader:
            absent = until(reader, lambda s: s["state"] == "OFFLINE")
            camera.refuse(False)
            until(reader, lambda s: s["state"] == "LIVE")
            camera.refuse()
            camera.cut("rst")
            gone = until(reader, lambda s: s["state"] == "OFFLINE")
            camera.refuse(False)
            until(reader, lambda s: s["state"] == "LIVE")
    assert absent["sent"] == 0
    assert "the camera is" in gone["reason"]
    assert gone["seq"] is not None


def test_relative_depth_is_not_recorded_for_ros(endpoint: str, tmp_path: Path) -> None:
    """The error comes before anything starts, and names what to do instead."""
    with pytest.raises(SettingsError, match=r"tiny.*metric network"):
        build(endpoint, scene("front"), mcap={"path": str(tmp_path / "x.mcap")})


@pytest.mark.slow
def test_publish_and_watch_are_two_commands(endpoint: str) -> None:
    """A robot's process reads JSON lines; Ctrl-C ends the publisher cleanly."""
    command = [sys.executable, "-m", "pipelines"]
    changes = [f'publish.endpoints=["{endpoint}"]', "cameras.0.width=96", "cameras.0.height=64"]
    sets = [word for change in changes for word in ("--set", change)]
    publisher = subprocess.Popen(
        [*command, "publish", str(CONFIG), *sets], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        watch = [*command, "watch", endpoint, "--stream", "front", "--count", "5", "--json"]
        lines = subprocess.run(watch, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    finally:
        publisher.send_signal(signal.SIGINT)
        out, err = publisher.communicate(timeout=20)
    frames = [json.loads(line) for line in lines]
    assert len(frames) == 5
    assert all(frame["kind"] == "relative_inverse" and 0 <= frame["age_ms"] < 5000 for frame in frames)
    assert f"publishing depth/front on {endpoint}" in err
    assert publisher.returncode == 130
    assert "captured" in out


@pytest.mark.slow
def test_publishing_needs_a_config_that_publishes() -> None:
    """Another pipeline's is refused in one line."""
    other = CONFIG.with_name("rtsp.toml")
    command = [sys.executable, "-m", "pipelines", "publish", str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "depthstream config robot" in done.stderr
    assert done.stderr.count("\n") == 1
