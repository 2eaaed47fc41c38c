"""Live pipelines with real RTSP cameras: effects of one camera on the others, and recovery.

How long it takes is promised in docs/reference/reliability.md and measured by tools/bench/live.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import pytest

from pipelines import rtsp
from stream.core.clock import Deadline
from stream.core.config_file import parse
from stream.frames import View
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import CameraHealth
from tests.rigs.rtsp_camera import Clip, RtspCamera

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
"""Far more than anything here takes."""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Traces of this file's tests are kept apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "live-cache"))


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.test_pattern(codec="h264", width=160, height=120, fps=12, seconds=2, keyframe_every=12)


class Shown:
    """A sink that counts the views of each camera."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.views: dict[str, list[View]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def write(self, item: View) -> None:
        with self._changed:
            self.views.setdefault(item.depth_map.frame.camera, []).append(item)
            self._changed.notify_all()

    def wait_for(self, camera: str, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Until ``count`` more views of ``camera`` are here."""
        with self._changed:
            wanted = len(self.views.get(camera, [])) + count
            arrived = self._changed.wait_for(lambda: len(self.views.get(camera, [])) >= wanted, timeout_s)
        assert arrived, f"{camera}: fewer than {count} views in {timeout_s} s"


def build(urls: dict[str, str], shown: Shown, **changes: Any) -> Pipeline:
    cameras = [{"source": "rtsp", "name": name, "url": url, **changes} for name, url in urls.items()]
    return rtsp.build(parse(rtsp.RtspSettings, {"pipeline": "rtsp", "cameras": cameras}, "test"), None, shown)


@contextmanager
def four_cameras(clip: Clip) -> Iterator[tuple[dict[str, RtspCamera], dict[str, str]]]:
    with ExitStack() as stack:
        cameras = {name: stack.enter_context(RtspCamera({"/cam": clip})) for name in ("a", "b", "c", "d")}
        yield cameras, {name: camera.url("/cam") for name, camera in cameras.items()}


def health(pipe: Pipeline, name: str) -> CameraHealth:
    return next(camera for camera in pipe.stats().cameras if camera.name == name)


def until(holds: Callable[[], bool]) -> None:
    """Until ``holds``."""
    end = Deadline.after(PATIENCE_S)
    while not holds():
        assert not end.passed, f"still not after {PATIENCE_S} s"
        threading.Event().wait(0.01)


def test_a_camera_that_is_killed_is_noticed_and_comes_back(clip: Clip) -> None:
    """Cut and refused: it is waited for; frames flow again after it answers; numbers go on, the account closes."""
    shown = Shown()
    with RtspCamera({"/cam": clip}, user="admin", password="p@ss:w%rd") as camera:
        pipe = build({"front": camera.url("/cam", credentials=True)}, shown)
        with pipe:
            shown.wait_for("front", 5)
            camera.refuse()
            camera.cut("rst")
            until(lambda: health(pipe, "front").state == "waiting")
            assert health(pipe, "front").trouble
            camera.refuse(False)
            until(lambda: health(pipe, "front").reconnects == 1)
            shown.wait_for("front", 1)
        stats = pipe.stats()
    numbers = [view.depth_map.frame.seq for view in shown.views["front"]]
    assert numbers == sorted(set(numbers))
    assert stats.unaccounted == 0
    assert stats.cameras[0].reconnects == 1
    assert "p@ss" not in repr(stats)
    assert "p%40ss" not in repr(stats)


def test_a_stall_is_noticed(clip: Clip) -> None:
    """The connection stays and nothing comes."""
    shown = Shown()
    with RtspCamera({"/cam": clip}) as camera:
        pipe = build({"front": camera.url("/cam")}, shown)
        with pipe:
            shown.wait_for("front", 5)
            camera.stall()
            until(lambda: health(pipe, "front").stalls == 1)
            camera.resume()
            shown.wait_for("front", 3)
        assert pipe.stats().unaccounted == 0


@pytest.mark.parametrize("fault", ["stall", "mute", "absent"])
def test_stopping_does_not_wait_for_a_camera_that_hangs(fault: str, clip: Clip) -> None:
    """Neither while it is opened (``open_s``), nor while it is waited for; else the pipeline would name it as stuck."""
    shown = Shown()
    with RtspCamera({"/cam": clip}) as camera:
        camera.mute(fault == "mute")
        camera.refuse(fault == "absent")
        pipe = build({"front": camera.url("/cam")}, shown, open_s=2 * PATIENCE_S)
        pipe.stop_timeout_s = PATIENCE_S
        with pipe:
            if fault == "stall":
                shown.wait_for("front", 3)
                camera.stall()
            elif fault == "mute":
                until(lambda: any(thread.name == "opening.front" for thread in threading.enumerate()))
            until(lambda: health(pipe, "front").state == STATE_WHEN[fault])
    for thread in threading.enumerate():
        if thread.name == "opening.front":
            thread.join(PATIENCE_S)
    assert pipe.stats().cameras[0].state == STATE_WHEN[fault]


STATE_WHEN = {"stall": "live", "mute": "connecting", "absent": "waiting"}


@pytest.mark.parametrize("fault", ["stall", "cut", "corrupt", "absent"])
def test_one_cameras_trouble_is_its_own(fault: str, clip: Clip) -> None:
    """The other three go on without a break; a busy machine may skip some images."""
    shown = Shown()
    with four_cameras(clip) as (cameras, urls):
        cameras["d"].refuse(fault == "absent")
        pipe = build(urls, shown, stall_s=4.0)  # a machine that stands still for a moment is no camera that does
        with pipe:
            for name in "abc":
                shown.wait_for(name, 3)
            before = captured(pipe)
            sent = {name: cameras[name].sent("/cam") for name in "abc"}
            harm(cameras["d"], fault)
            until(lambda: is_in_trouble(health(pipe, "d"), fault))
            for name in "abc":
                shown.wait_for(name, 20)
            sent = {name: cameras[name].sent("/cam") - sent[name] for name in "abc"}
            until(lambda: all(captured(pipe)[name] - before[name] >= 0.98 * sent[name] - 2 for name in "abc"))
            others = [health(pipe, name) for name in "abc"]
        assert pipe.stats().unaccounted == 0
    assert {(camera.state, camera.stalls, camera.reconnects) for camera in others} == {("live", 0, 0)}
    assert {kind for camera in others for kind, count in camera.integrity.items() if count} == {"clean"}


def harm(camera: RtspCamera, fault: str) -> None:
    if fault == "stall":
        camera.stall()
    elif fault == "cut":
        camera.refuse()
        camera.cut("rst")
    elif fault == "corrupt":
        camera.corrupt(30)


def is_in_trouble(camera: CameraHealth, fault: str) -> bool:
    """True if the camera's health shows ``fault``."""
    if fault == "stall":
        return camera.stalls > 0
    return camera.integrity["tainted"] > 0 if fault == "corrupt" else camera.state == "waiting"


def captured(pipe: Pipeline) -> dict[str, int]:
    """Frames so far, by camera."""
    return {account.camera: account.captured for account in pipe.stats().accounts}


def test_under_overload_equal_cameras_get_equal_shares(clip: Clip) -> None:
    """A network far slower than the cameras takes them in turn."""
    shown = Shown()
    with four_cameras(clip) as (_, urls):
        cameras = [{"source": "rtsp", "name": name, "url": url} for name, url in urls.items()]
        model = {"name": "midas_small", "weights": "random"}
        settings = parse(rtsp.RtspSettings, {"pipeline": "rtsp", "cameras": cameras, "model": model}, "test")
        with rtsp.build(settings, None, shown):
            for name in "abcd":
                shown.wait_for(name, 1, 60.0)
            before = {name: len(shown.views[name]) for name in "abcd"}
            shown.wait_for("a", 10, 60.0)
        shares = [len(shown.views[name]) - before[name] for name in "abcd"]
    assert max(shares) - min(shares) <= max(1, 0.1 * max(shares))


def test_lost_packets_mark_the_images_up_to_the_key_frame(clip: Clip) -> None:
    """`drop` leaves out exactly those."""
    shown = Shown()
    with RtspCamera({"/cam": clip}) as camera:
        pipe = build({"front": camera.url("/cam")}, shown, integrity={"tainted": "drop"})
        with pipe:
            shown.wait_for("front", 14)
            camera.lose(2)  # one alone may be the last before a key frame, and then nothing is damaged
            shown.wait_for("front", 26)
        stats = pipe.stats()
    tainted = stats.cameras[0].integrity["tainted"]
    assert 1 <= tainted <= 12
    assert sum(n for why, n in stats.accounts[0].dropped.items() if why.startswith("tainted")) == tainted
    assert all(view.depth_map.frame.integrity == "clean" for view in shown.views["front"])
    assert stats.unaccounted == 0


def test_a_new_resolution_is_followed(clip: Clip) -> None:
    """The running pipeline goes on without a reconnect."""
    shown, large = Shown(), Clip.test_pattern(codec="h264", width=320, height=240, fps=12, seconds=2, keyframe_every=12)
    with RtspCamera({"/cam": clip}) as camera:
        pipe = build({"front": camera.url("/cam")}, shown)
        with pipe:
            shown.wait_for("front", 5)
            camera.switch("/cam", large)
            until(lambda: shown.views["front"][-1].depth_map.size == (240, 320))
        assert pipe.stats().cameras[0].reconnects == 0
        assert pipe.stats().unaccounted == 0
