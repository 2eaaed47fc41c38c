"""Sources that come and go while a pipeline runs: real threads, and the account of every frame."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from stream.errors import SinkError, StageError
from stream.frames import Frame
from stream.runtime.pipeline import Pipeline, chain
from stream.runtime.removed import KEPT, OLDER
from stream.runtime.stats import CameraHealth, PipelineStats
from stream.runtime.worker import Body, ReleasingBody

FrameMaker = Callable[..., Frame]
PATIENCE_S = 60.0


class Cameras:
    """Endless cameras, and what arrived of each at the end of a pipeline."""

    def __init__(self, make_frame: FrameMaker, period_s: float = 0.0005) -> None:
        self._make_frame, self._period_s = make_frame, period_s
        self.arrived: dict[str, list[int]] = {}
        self.released: list[str] = []
        self.news = threading.Condition()

    def body(self, name: str, first: int = 0) -> Body:
        def body(stopping: threading.Event) -> Iterator[Frame]:
            seq = first
            while not stopping.wait(self._period_s):
                yield self._make_frame(seq, name)
                seq += 1

        return body

    def sink(self) -> Body:
        def body(frames: Iterable[Frame]) -> Iterator[Frame]:
            for frame in frames:
                with self.news:
                    self.arrived.setdefault(frame.camera, []).append(frame.seq)
                    self.news.notify_all()
                yield frame

        return ReleasingBody(body, self.released.append)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.news:
            assert self.news.wait_for(condition, PATIENCE_S)

    def wait_for_news(self, *names: str) -> None:
        """Until one more frame of each of these cameras has arrived."""
        before = {name: len(self.arrived.get(name, ())) for name in names}
        self.wait_for(lambda: all(len(self.arrived.get(name, ())) > before[name] for name in names))


def same(items: Iterable[Any]) -> Iterator[Any]:
    yield from items


def graph(cameras: Cameras, *names: str) -> Pipeline:
    """A live pipeline with two ends, ready to take more sources."""
    pipe = Pipeline("live")
    sources = [pipe.source(name, cameras.body(name)) for name in names]
    depth = pipe.stage("depth", chain(one=same, two=same), sources, policy="latest")
    pipe.stage("publish", cameras.sink(), [depth], policy="latest")
    pipe.stage("record", same, [depth], policy="drop_oldest")
    pipe.stay_open()
    return pipe


def settled(pipe: Pipeline, *names: str) -> None:
    """Until these removed sources are gone."""
    left, pause = set(names), threading.Event()
    for _ in range(round(PATIENCE_S / 0.002)):
        left -= set(pipe.settle())
        if not left:
            return
        pause.wait(0.002)
    raise AssertionError(f"not settled: {left}")


def names_of(stats: PipelineStats) -> set[str]:
    return {stage.name for stage in stats.stages} - {"depth", "publish", "record"}


def test_a_source_comes_and_goes_beside_another_one(make_frame: FrameMaker) -> None:
    """The one that stays loses nothing by it, and the account of the one that went is closed and kept."""
    cameras = Cameras(make_frame)
    pipe = graph(cameras, "a")
    with pipe:
        cameras.wait_for_news("a")
        pipe.add_source("b", cameras.body("b"))
        cameras.wait_for_news("a", "b")
        assert names_of(pipe.stats()) == {"a", "b"}
        pipe.remove_source("b")
        settled(pipe, "b")
        cameras.wait_for_news("a")
        stats = pipe.stats()
        assert names_of(stats) == {"a"}
        gone = [account for account in stats.accounts if account.camera == "b"]
        assert [account.terminal for account in gone] == ["publish", "record"]
        assert all(account.is_removed and account.captured and not account.in_flight for account in gone)
        assert "b (removed): " in str(gone[0])
        assert not any(account.is_removed for account in stats.accounts if account.camera == "a")
        assert cameras.released == ["b"]
        assert "b" not in next(stage for stage in stats.stages if stage.name == "publish").age_by_camera
    assert pipe.stats().unaccounted == 0


def test_a_changed_source_starts_when_the_last_frame_of_the_old_one_has_left(make_frame: FrameMaker) -> None:
    """Two never run at once, what the stages kept is released in between, and the counters go on."""
    cameras = Cameras(make_frame)
    pipe = graph(cameras, "a")
    with pipe:
        cameras.wait_for_news("a")
        pipe.remove_source("a")
        pipe.add_source("a", cameras.body("a", first=10**6))
        for _ in range(3):
            assert pipe.settle() == [], "it is replaced, not gone"
            threading.Event().wait(0.001)
        while not cameras.released:
            pipe.settle()
        cameras.wait_for(lambda: cameras.arrived["a"][-1] >= 10**6)
    seqs = cameras.arrived["a"]
    assert seqs == sorted(seqs), "no frame of the old one came after one of the new one"
    published = next(account for account in pipe.stats().accounts if account.terminal == "publish")
    assert published.published == len(seqs), "one account for both"
    assert not published.is_removed
    assert pipe.stats().unaccounted == 0


def test_a_source_that_waits_for_its_name_can_be_removed_and_changed_again(make_frame: FrameMaker) -> None:
    """The last word counts; the ones in between never start."""
    cameras = Cameras(make_frame)
    pipe = graph(cameras, "a")
    with pipe:
        cameras.wait_for_news("a")
        pipe.remove_source("a")
        pipe.add_source("a", cameras.body("never"))
        with pytest.raises(ValueError, match="two stages called 'a'"):
            pipe.add_source("a", cameras.body("never"))
        pipe.remove_source("a")
        with pytest.raises(ValueError, match="no source called 'a'"):
            pipe.remove_source("a")
        pipe.add_source("a", cameras.body("second"))
        while "second" not in cameras.arrived:
            pipe.settle()
    assert "never" not in cameras.arrived


def test_a_pipeline_without_sources_waits_for_one(make_frame: FrameMaker) -> None:
    """From the start, after the last one was removed, and after one that ended or failed by itself."""
    cameras = Cameras(make_frame)
    pipe = graph(cameras)

    def fails(stopping: threading.Event) -> Iterator[Frame]:
        yield make_frame(0, "short")
        raise ValueError("boom")

    with pytest.raises(StageError, match="'short' failed: boom"), pipe:  # noqa: PT012  # raised at the end
        assert not pipe.wait(0.02)
        pipe.add_source("a", cameras.body("a"))
        cameras.wait_for_news("a")
        pipe.remove_source("a")
        settled(pipe, "a")
        pipe.add_source("short", fails)
        cameras.wait_for(lambda: "short" in cameras.arrived)
        assert not pipe.wait(0.02)
        pipe.add_source("a", cameras.body("a"))
        cameras.wait_for_news("a")
    assert pipe.stats().unaccounted == 0


def test_the_error_of_a_removed_source_is_forgotten(make_frame: FrameMaker) -> None:
    """Who removes a camera that has failed has seen to it."""
    cameras = Cameras(make_frame)
    pipe = graph(cameras)

    def fails(stopping: threading.Event) -> Iterator[Frame]:
        raise ValueError("boom")
        yield

    with pipe:
        pipe.add_source("a", fails)
        pipe.remove_source("a")
        settled(pipe, "a")


def test_sources_come_only_while_the_pipeline_runs(make_frame: FrameMaker) -> None:
    """Not before its start, not without ``stay_open``, and not while it stops."""
    cameras = Cameras(make_frame)
    pipe = graph(cameras)
    with pytest.raises(ValueError, match="call stay_open, and start it"):
        pipe.add_source("a", cameras.body("a"))
    with pipe:
        pipe.drain()
        with pytest.raises(StageError, match="because the pipeline is stopping"):
            pipe.add_source("a", cameras.body("a"))
    closed = Pipeline("closed")
    closed.stage("publish", same, [closed.source("a", cameras.body("a"))])
    with closed, pytest.raises(ValueError, match="takes no sources now"):
        closed.add_source("b", cameras.body("b"))


def test_a_removed_source_that_hangs_is_named_and_delays_no_other(make_frame: FrameMaker) -> None:
    """Its successor waits for it, because the camera is still open; the end names it."""
    cameras, release = Cameras(make_frame), threading.Event()
    pipe = Pipeline("live", stop_timeout_s=0.05)
    pipe.stage("depth", cameras.sink(), [], policy="latest")
    pipe.stay_open()

    def hangs(stopping: threading.Event) -> Iterator[Frame]:
        yield make_frame(0, "a")
        release.wait()

    with pytest.raises(StageError, match=r"not stopped after 0\.05 s: a \(busy in a\)"), pipe:  # noqa: PT012
        pipe.add_source("a", hangs)
        cameras.wait_for(lambda: "a" in cameras.arrived)
        pipe.remove_source("a")
        pipe.add_source("a", cameras.body("later"))
        pipe.add_source("b", cameras.body("b"))
        cameras.wait_for_news("b")
        assert pipe.settle() == []
    release.set()
    assert pipe.wait(PATIENCE_S)
    assert "later" not in cameras.arrived


def test_health_is_that_of_the_sources_in_force(make_frame: FrameMaker) -> None:
    """A removed camera has none at once; a changed one has its successor's."""
    cameras = Cameras(make_frame)

    def health(name: str) -> Callable[[], CameraHealth]:
        return lambda: CameraHealth(name, "live", 0.0, "good", 0, 0)

    pipe = graph(cameras)
    with pipe:
        for name in ("a", "b"):
            pipe.add_source(name, cameras.body(name), health=health(f"first {name}"))
        cameras.wait_for_news("a", "b")
        pipe.remove_source("a")
        pipe.remove_source("b")
        pipe.add_source("b", cameras.body("b"), health=health("second b"))
        assert [camera.name for camera in pipe.stats().cameras] == ["second b"]


def test_a_file_that_cannot_be_finished_stops_no_other_camera(
    make_frame: FrameMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning; a stage that fails would end all of them."""
    cameras = Cameras(make_frame)

    def release(camera: str) -> None:
        raise SinkError("the disk is full")

    pipe = Pipeline("live")
    pipe.stage("record", ReleasingBody(cameras.sink(), release), [], policy="latest")
    pipe.stay_open()
    with pipe:
        for name in ("a", "b"):
            pipe.add_source(name, cameras.body(name))
        cameras.wait_for_news("a", "b")
        pipe.remove_source("a")
        settled(pipe, "a")
        cameras.wait_for_news("b")
    assert caplog.messages == ["record: what was kept of camera 'a' could not be finished: the disk is full"]


def test_memory_is_bounded_however_many_cameras_come_and_go(make_frame: FrameMaker) -> None:
    """The last ones keep their accounts, all older ones have one together, and no frame is missing in the sum."""
    cameras, came = Cameras(make_frame, period_s=0.0), 60
    pipe = graph(cameras)
    with pipe:
        for number in range(came):
            name = f"camera {number}"
            pipe.add_source(name, cameras.body(name))
            cameras.wait_for_news(name)
            pipe.remove_source(name)
            settled(pipe, name)
        stats = pipe.stats()
    names = {account.camera for account in stats.accounts}
    assert names == {OLDER, *(f"camera {number}" for number in range(came - KEPT, came))}
    for place in (*stats.stages, *stats.edges):
        assert set(place.taken) <= names
        assert {camera for camera, _ in place.dropped} <= names
    published = {a.camera: a.published for a in stats.accounts if a.terminal == "publish"}
    assert sum(published.values()) == sum(map(len, cameras.arrived.values()))
    assert stats.unaccounted == 0
    assert all(account.is_removed for account in stats.accounts)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_random_changes_leave_no_thread_and_no_frame_behind(seed: int, make_frame: FrameMaker) -> None:
    """Sources come, go, fail, end and are replaced under load, while another thread takes snapshots."""
    chance = random.Random(seed)
    cameras = Cameras(make_frame, period_s=0.0002)
    pipe = graph(cameras, "stays")
    present: set[str] = set()
    negative: list[str] = []
    done = threading.Event()

    def snapshots() -> None:
        while not done.is_set():
            negative.extend(str(account) for account in pipe.stats().accounts if account.in_flight < 0)

    def change() -> None:
        name = chance.choice("abcdefgh")
        if name in present and chance.random() < 0.6:
            pipe.remove_source(name)
            if chance.random() < 0.5:
                present.discard(name)
            else:
                pipe.add_source(name, some_body(name))
        elif name not in present:
            present.add(name)
            pipe.add_source(name, some_body(name))

    def some_body(name: str) -> Body:
        length = chance.choice([None, None, 0, 3])
        endless = cameras.body(name)

        def body(stopping: threading.Event) -> Iterator[Frame]:
            for number, frame in enumerate(endless(stopping)):
                if length == number:
                    return
                yield frame

        return body

    watching = threading.Thread(target=snapshots)
    watching.start()
    try:
        with pipe:
            for _ in range(200):
                change()
                pipe.settle()
                if chance.random() < 0.3:
                    cameras.wait_for_news("stays")
            if chance.random() < 0.5:
                pipe.abort()
    finally:
        done.set()
        watching.join()
    stats = pipe.stats()
    assert negative == []
    assert stats.unaccounted == 0
    published = Counter({a.camera: a.published for a in stats.accounts if a.terminal == "publish"})
    captured = {a.camera: a.captured for a in stats.accounts if a.terminal == "record"}
    for camera, seqs in cameras.arrived.items():
        assert published[camera] == len(seqs) <= captured[camera]
