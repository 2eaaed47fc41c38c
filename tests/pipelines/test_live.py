"""Live pipelines in front of real RTSP cameras: what one camera does to the others, and how long anything takes.

The bounds are the promises of docs/reliability.md; `tools/bench_live.py` measures how far from them we are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any, Self

import pytest

from pipelines import rtsp
from stream.config_file import parse
from stream.frames import View
from stream.pipeline import Pipeline
from stream.stats import CameraHealth
from tests.rigs.rtsp_camera import Clip, RtspCamera

pytestmark = pytest.mark.slow

NOTICED_S, BACK_S, STOPPED_S = 2.5, 3.0, 2.0


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

    def wait_for(self, camera: str, count: int, timeout_s: float = 20.0) -> float:
        """Seconds until ``count`` more views of ``camera`` are here."""
        start = monotonic()
        with self._changed:
            wanted = len(self.views.get(camera, [])) + count
            arrived = self._changed.wait_for(lambda: len(self.views.get(camera, [])) >= wanted, timeout_s)
        assert arrived, f"{camera}: fewer than {count} views in {timeout_s} s"
        return monotonic() - start


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


def until(holds: Callable[[], bool], timeout_s: float) -> float:
    """Seconds until ``holds``."""
    start = monotonic()
    while not holds():
        assert monotonic() - start < timeout_s, f"still not after {timeout_s} s"
        threading.Event().wait(0.01)
    return monotonic() - start


def test_a_camera_that_is_killed_is_noticed_and_comes_back(clip: Clip) -> None:
    """Cut and refused: waiting at once; frames flow again soon after it answers; numbers go on, the account closes."""
    shown = Shown()
    with RtspCamera({"/cam": clip}, user="admin", password="p@ss:w%rd") as camera:
        pipe = build({"front": camera.url("/cam", credentials=True)}, shown)
        with pipe:
            shown.wait_for("front", 5)
            camera.refuse()
            camera.cut("rst")
            until(lambda: health(pipe, "front").state == "waiting", NOTICED_S)
            assert health(pipe, "front").trouble
            camera.refuse(False)
            until(lambda: health(pipe, "front").reconnects == 1, BACK_S)
            shown.wait_for("front", 1, 1.0)
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
            until(lambda: health(pipe, "front").stalls == 1, NOTICED_S)
            camera.resume()
            shown.wait_for("front", 3)
        assert pipe.stats().unaccounted == 0


@pytest.mark.parametrize("fault", ["stall", "mute", "absent"])
def test_stopping_does_not_wait_for_a_camera_that_hangs(fault: str, clip: Clip) -> None:
    """Neither while it is opened, nor while it is read, nor while it is waited for."""
    shown = Shown()
    with RtspCamera({"/cam": clip}) as camera:
        camera.mute(fault == "mute")
        camera.refuse(fault == "absent")
        pipe = build({"front": camera.url("/cam")}, shown, open_s=4.0)
        pipe.__enter__()
        pipe.ready.wait(20.0)
        if fault == "stall":
            shown.wait_for("front", 3)
            camera.stall()
        threading.Event().wait(0.4)
        start = monotonic()
        pipe.__exit__(None, None, None)
        assert monotonic() - start < STOPPED_S
        for thread in threading.enumerate():
            if thread.name == "opening.front":
                thread.join(10.0)
    assert pipe.stats().cameras[0].state == {"stall": "live", "mute": "connecting", "absent": "waiting"}[fault]


@pytest.mark.parametrize("fault", ["stall", "cut", "corrupt", "absent"])
def test_one_cameras_trouble_is_its_own(fault: str, clip: Clip) -> None:
    """Of the other three hardly a frame is missed meanwhile; a busy machine may replace some by newer ones."""
    shown = Shown()
    with four_cameras(clip) as (cameras, urls):
        cameras["d"].refuse(fault == "absent")
        pipe = build(urls, shown)
        with pipe:
            for name in "abc":
                shown.wait_for(name, 3)
            before, seen = captured(pipe), {name: len(shown.views[name]) for name in "abc"}
            sent = {name: cameras[name].sent("/cam") for name in "abc"}
            if fault == "stall":
                cameras["d"].stall()
            elif fault == "cut":
                cameras["d"].refuse()
                cameras["d"].cut("rst")
            elif fault == "corrupt":
                cameras["d"].corrupt(30)
            threading.Event().wait(4.0)
            sent = {name: cameras[name].sent("/cam") - sent[name] for name in "abc"}
            got = {name: count - before[name] for name, count in captured(pipe).items()}
            seen = {name: len(shown.views[name]) - seen[name] for name in "abc"}
        assert pipe.stats().unaccounted == 0
    for name in "abc":
        assert sent[name] > 40
        assert got[name] >= 0.98 * sent[name] - 2, f"{name}: {got[name]} of {sent[name]}"
        assert seen[name] > 0.5 * sent[name]


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


def test_lost_packets_mark_the_pictures_up_to_the_key_frame(clip: Clip) -> None:
    """And `drop` leaves exactly those out."""
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
    """In the running pipeline, without a reconnect."""
    shown, large = Shown(), Clip.test_pattern(codec="h264", width=320, height=240, fps=12, seconds=2, keyframe_every=12)
    with RtspCamera({"/cam": clip}) as camera:
        pipe = build({"front": camera.url("/cam")}, shown)
        with pipe:
            shown.wait_for("front", 5)
            camera.switch("/cam", large)
            until(lambda: shown.views["front"][-1].depth_map.size == (240, 320), 10.0)
        assert pipe.stats().cameras[0].reconnects == 0
        assert pipe.stats().unaccounted == 0
