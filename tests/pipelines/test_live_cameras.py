"""Cameras that come, change and go in a pipeline, and what its publisher, page and files make of it."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.components.live_cameras import CameraChanges, CameraPipeline
from pipelines.components.publisher import add_publisher
from pipelines.process.config_watch import ConfigWatch
from pipelines.registry import load
from pipelines.reload import CameraReloader, changed_keys
from stream.client import Subscriber
from stream.client.discovery import find_streams
from stream.errors import SettingsError, StaleFrame
from stream.frames import DepthMap, Frame
from stream.runtime.worker import ReleasingBody
from stream.settings import ImagesCamera, PublishSettings, RenderSettings, SyntheticCamera

PATIENCE_S = 60.0
ROBOT = """\
pipeline = "robot"
[model]
name = "tiny"
{extra}
[[cameras]]
source = "synthetic"
name = "front"
width = 64
height = 48
"""
SIDE = ROBOT[ROBOT.index("[[") :].replace("front", "side")


def synthetic(name: str, **how: Any) -> SyntheticCamera:
    return SyntheticCamera(source="synthetic", name=name, width=64, height=48, fps=60.0, **how)


def wait_until(condition: Callable[[], object]) -> None:
    end, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not condition():
        assert time.monotonic() < end
        pause.wait(0.005)


class Seen:
    """A stage that keeps the numbers of each camera's frames."""

    def __init__(self) -> None:
        self.seqs: dict[str, list[int]] = {}
        self.released: list[str] = []

    def body(self) -> ReleasingBody:
        def body(frames: Iterable[Frame]) -> Iterator[Frame]:
            for frame in frames:
                self.seqs.setdefault(frame.camera, []).append(frame.seq)
                yield frame

        return ReleasingBody(body, self.released.append)

    def more(self, name: str, count: int = 3) -> None:
        """Until some more frames of the camera have come."""
        before = len(self.seqs.get(name, ()))
        wait_until(lambda: len(self.seqs.get(name, ())) >= before + count)


def open_pipeline(seen: Seen, *cameras: SyntheticCamera) -> CameraPipeline:
    pipe = CameraPipeline("live")
    pipe.stage("seen", seen.body(), pipe.add_cameras(cameras), policy="latest")
    pipe.stay_open()
    return pipe


def settle(pipe: CameraPipeline, until: Callable[[], object]) -> None:
    def settled() -> object:
        pipe.settle()
        return until()

    wait_until(settled)


@pytest.mark.slow
def test_only_the_cameras_that_differ_are_touched() -> None:
    """Added, changed and removed in one step; the unchanged one delivers every frame, and numbers go on rising."""
    seen, told = Seen(), list[str]()
    pipe = open_pipeline(seen, synthetic("stays"), synthetic("changes"), synthetic("goes"))
    pipe.on_cameras(lambda camera: told.append(f"+{camera.name}"), lambda name: told.append(f"-{name}"))
    with pipe:
        for name in ("stays", "changes", "goes"):
            seen.more(name)
        wanted = (synthetic("comes"), synthetic("changes", seed=1), synthetic("stays"))
        changes = pipe.apply(wanted)
        assert changes == CameraChanges(("comes",), ("changes",), ("goes",))
        assert str(changes) == "added comes; changed changes; removed goes"
        settle(pipe, lambda: "-goes" in told and "changes" in seen.released)
        for name in ("stays", "changes", "comes"):
            seen.more(name)
        assert not pipe.apply(wanted[::-1]), "their order does not matter"
    assert sorted(told) == ["+changes", "+comes", "-goes"]
    assert sorted(seen.released) == ["changes", "goes"]
    assert seen.seqs["changes"] == sorted(set(seen.seqs["changes"]))
    account = {each.camera: each for each in pipe.stats().accounts}
    assert seen.seqs["stays"] == sorted(set(seen.seqs["stays"]))
    assert account["stays"].captured == seen.seqs["stays"][-1] + 1, "one source from the start to the end"
    assert account["goes"].is_removed
    assert pipe.stats().unaccounted == 0


def test_wrong_cameras_change_nothing() -> None:
    """Two of one name."""
    seen = Seen()
    pipe = open_pipeline(seen, synthetic("front"))
    with pipe:
        with pytest.raises(SettingsError, match='two cameras are called "side"'):
            pipe.apply((synthetic("side"), synthetic("side")))
        seen.more("front")
    assert set(seen.seqs) == {"front"}


@pytest.mark.slow
def test_readers_are_told_of_cameras_that_come_and_go(tmp_path: Path) -> None:
    """Info as soon as a camera is there, OFFLINE when it is removed, and another status when it comes back."""
    endpoint, front, side = f"ipc://{tmp_path}/depth", synthetic("front"), synthetic("side")
    pipe = CameraPipeline("robot")
    depth = pipe.stage("depth", as_depth, pipe.add_cameras([front]), policy="latest")
    publisher = add_publisher(
        pipe, depth, PublishSettings(endpoints=(endpoint,), max_age_ms=60_000), RenderSettings(), [front]
    )
    pipe.stay_open()
    with pipe, Subscriber(endpoint, "side") as reader:
        wait_until(lambda: publisher.endpoints)
        pipe.apply((front, side))
        assert reader.read(PATIENCE_S).header.seq >= 0
        wait_until(lambda: reader.health.info)
        assert reader.health.info["fps"] == 60.0
        pipe.apply((front,))
        settle(pipe, lambda: reader.health.is_removed)
        assert reader.health.status["state"] == "OFFLINE"
        with pytest.raises(StaleFrame, match="the publisher's settings name it no longer"):
            reader.read_latest(1.0)
        assert find_streams(endpoint) == ["front"]
        pipe.apply((side,))
        settle(pipe, lambda: not reader.health.is_removed)
        settle(pipe, lambda: reader.read(PATIENCE_S).age_at_publish_s >= 0)
    assert pipe.stats().unaccounted == 0


def as_depth(frames: Iterable[Frame]) -> Iterator[DepthMap]:
    """In the place of a network."""
    for frame in frames:
        yield DepthMap(np.ones(frame.size, np.float32), "metric", frame, "tiny")


class Reloading:
    """A reloader in front of a pipeline that is built and not started: what it would apply is recorded."""

    def __init__(self, path: Path, assignments: Sequence[str] = ()) -> None:
        self.asked = True
        settings, pipe = load(path, assignments, cameras_may_come=True)
        assert isinstance(pipe, CameraPipeline)
        self.applied: list[list[str]] = []
        self.cameras: list[Any] = []
        pipe.apply = self.apply  # type: ignore[method-assign]
        self.pipe = pipe
        self.reload = CameraReloader(path, assignments, settings, pipe, ConfigWatch(path), lambda: self.asked)

    def apply(self, cameras: Sequence[Any]) -> CameraChanges:
        self.applied.append([camera.name for camera in cameras])
        self.cameras = list(cameras)
        return self.pipe.changes(cameras)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "robot.toml"
    path.write_text(ROBOT.format(extra=""))
    return path


def test_a_changed_file_is_applied(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """--set is applied again, on top of the new file."""
    rig = Reloading(config, ("cameras.0.fps=7",))
    config.write_text(ROBOT.format(extra="") + SIDE)
    rig.reload()
    assert rig.applied == [["front", "side"]]
    assert [camera.fps for camera in rig.cameras] == [7.0, 12.0]
    assert caplog.messages == [f"{config}: cameras: added side"]


def test_a_file_without_cameras_removes_all(config: Path) -> None:
    """With --watch-config there may be none, now or from the start."""
    rig = Reloading(config)
    config.write_text(ROBOT.format(extra="").partition("[[")[0])
    rig.reload()
    assert rig.applied == [[]]
    settings, _ = load(config, cameras_may_come=True)
    assert getattr(settings, "cameras", None) == ()
    with pytest.raises(SettingsError, match='key "cameras" is missing'):
        load(config)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", 'key "pipeline" is missing'),
        (ROBOT.format(extra="")[:-3], "not valid TOML"),  # half-written
        (ROBOT.format(extra="").replace("width", "widht"), 'unknown key "widht".*did you mean "width"'),
        (ROBOT.format(extra="") * 2, "not valid TOML"),
        (ROBOT.format(extra="") + SIDE.replace("side", "front"), 'two cameras are called "front"'),
        (ROBOT.format(extra="").replace('"robot"', '"rtsp"'), "another pipeline needs a restart"),
        (ROBOT.format(extra="") + SIDE.replace("side", "s" * 80), "bytes"),
        (ROBOT.format(extra="").replace('"tiny"', '"tinny"'), 'did you mean "tiny"'),
    ],
)
def test_a_wrong_file_changes_nothing_and_is_one_line(
    config: Path, text: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Reloading(config)
    config.write_text(text)
    rig.reload()
    assert rig.applied == []
    (line,) = caplog.messages
    assert line.endswith("; the cameras stay as they are until the file is corrected")
    assert len(line.splitlines()) == 1
    assert re.search(why, line)
    assert str(config) in line


def test_a_recording_that_two_cameras_would_share_is_refused(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At a camera's first frame it would end the pipeline."""
    extra = '[record]\npath = "depth.mp4"\n'
    config.write_text(ROBOT.format(extra=extra))
    rig = Reloading(config)
    config.write_text(ROBOT.format(extra=extra) + SIDE)
    rig.reload()
    assert rig.applied == []
    assert 'the recordings of cameras "front" and "side" would share one file' in caplog.text


def test_other_keys_need_a_restart(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are named, and the cameras are applied without them."""
    rig = Reloading(config)
    changed = ROBOT.format(extra="side = 160\n[publish]\nmax_age_ms = 100\n") + SIDE
    config.write_text(changed)
    rig.reload()
    assert rig.applied == [["front", "side"]]
    assert caplog.messages[0] == (
        f"{config}: restart to apply model.side, publish.max_age_ms; only cameras are applied now"
    )


def test_nothing_is_read_without_a_reason(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file has not changed, and no signal came; a signal without a change is no warning."""
    rig = Reloading(config)
    rig.asked = False
    rig.reload()
    assert rig.applied == []
    rig.asked = True
    with caplog.at_level(logging.INFO, "pipelines"):
        rig.reload()
    assert caplog.messages == [f"{config}: cameras: nothing changed"]


def test_changed_keys_names_tables_that_come_and_go() -> None:
    before = {"cameras": [1], "model": {"name": "a", "side": 1}, "record": None}
    after = {"cameras": [2], "model": {"name": "b", "side": 1}, "record": {"path": "x"}}
    assert list(changed_keys(before, after)) == ["model.name", "record"]


def test_a_camera_of_another_kind_is_a_changed_one() -> None:
    pipe = CameraPipeline("live")
    pipe.add_cameras([synthetic("front")])
    assert pipe.changes([ImagesCamera(source="images", name="front", path="x")]).changed == ("front",)
