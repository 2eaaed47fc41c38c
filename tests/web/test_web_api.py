"""The JSON API: cameras, statistics and health of a running pipeline, without its passwords."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from stream.core.clock import NS_PER_S
from stream.errors import StageError
from stream.runtime.meters import DurationSummary
from stream.runtime.pipeline import Pipeline
from stream.web.api import ThrottledCheck
from stream.web.live.hub import WebSink
from stream.web.readiness import Readiness
from tests.web.served import PASSWORD, TOKEN, Served, wait_until

BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S)


@pytest.fixture
def served() -> Iterator[Served]:
    with Served().serving() as served:
        yield served


def until_stopped(stopping: threading.Event) -> Iterator[Any]:
    """A source that yields nothing."""
    stopping.wait()
    yield from ()


def by_name(served: Served) -> dict[str, Any]:
    return {camera["name"]: camera for camera in served.get("/api/cameras").data["cameras"]}


def test_a_live_camera_says_how_it_is_and_what_its_depth_means(served: Served) -> None:
    """State, grade, rate, size, age and integrity; guessed metres are marked as such."""
    wait_until(lambda: by_name(served)["front"]["fps"] > 0)
    front = by_name(served)["front"]
    assert (front["state"], front["grade"], front["trouble"], front["reconnects"]) == ("live", "unknown", "", 0)
    assert front["integrity"]["clean"] > 0
    assert (front["width"], front["height"]) == (8, 6)
    assert 0 <= front["age_s"] < 10
    assert front["captured"] >= front["published"] > 0
    low, high = front["depth"].pop("low"), front["depth"].pop("high")
    assert 0.9 <= low < high <= 4.1
    meaning = {"kind": "metric", "unit": "m", "model": "ramp", "weights": "trained", "scale_guessed": True}
    assert front["depth"] == meaning


def test_a_file_has_no_health_and_says_so_with_null(served: Served) -> None:
    """Null rather than 0 reconnects, because a file cannot reconnect."""
    clip = by_name(served)["clip"]
    assert (clip["state"], clip["reconnects"], clip["integrity"]) == ("live", None, None)
    assert clip["depth"]["model"] == "ramp"


def test_a_cut_camera_reports_why_and_keeps_its_last_depth(served: Served) -> None:
    """State and trouble change; the last depth and its time stay."""
    served.cut.set()
    wait_until(lambda: by_name(served)["front"]["state"] == "waiting")
    front = by_name(served)["front"]
    assert front["trouble"] == "cannot read rtsp://admin:***@10.0.0.7/main: connection refused"
    assert front["depth"]["kind"] == "metric"
    assert by_name(served)["clip"]["offline_s"] == 0
    served.health.connecting()
    wait_until(lambda: by_name(served)["front"]["offline_s"] > by_name(served)["front"]["since_s"])
    whole = next(camera for camera in served.get("/api/stats").data["cameras"] if camera["name"] == "front")
    assert whole["offline_s"] > whole["since_s"]


def test_a_camera_without_an_image_is_listed() -> None:
    """Its depth, size and age are null."""
    with Served(cameras=("front", "clip", "attic")).serving() as served:
        attic = by_name(served)["attic"]
    assert (attic["depth"], attic["width"], attic["age_s"]) == (None, None, None)


def test_all_statistics_are_present_and_add_up(served: Served) -> None:
    """The same numbers as in the table at a run's end; NaN becomes null."""
    answer = served.get("/api/stats")
    stats = answer.data
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert stats["name"] == "served"
    assert stats["statistics"]["truth"] == {"error": None, "frames": 3}
    assert {account["camera"] for account in stats["accounts"]} == {"front", "clip"}
    for account in stats["accounts"]:
        dropped = sum(account["dropped"].values())
        assert account["captured"] == account["published"] + dropped + account["in_flight"] > 0
    assert [stage["name"] for stage in stats["stages"]] == ["capture.front", "capture.clip", "depth", "show"]


def test_no_answer_holds_a_password(served: Served) -> None:
    """Although the camera's address, and the text of its trouble, contain one."""
    served.cut.set()
    wait_until(lambda: served.health.snapshot().state == "waiting")
    for path in ("/api/cameras", "/api/stats", "/healthz", "/metrics"):
        assert PASSWORD not in served.get(path).body
    assert "rtsp://admin:***@" in served.get("/api/stats").body


def test_health_is_one_word_while_all_is_well(served: Served) -> None:
    """200, and HEAD gives the same status."""
    answer = served.get("/healthz")
    assert (answer.status, answer.data) == (200, {"status": "ok"})
    assert served.get("/healthz", "HEAD").status == 200


def test_health_gives_reasons_only_with_the_token() -> None:
    """Other clients see that it is not ready, and nothing about the machine."""
    with Served(required=("depth", "roof")).serving(token=TOKEN) as served:
        known, stranger = served.get("/healthz", **BEARER), served.get("/healthz")
        assert served.get("/api/cameras").status == served.get("/metrics").status == 401
        assert served.get("/api/cameras", **BEARER).status == 200
    assert (known.status, known.data) == (503, {"status": "unavailable", "problems": ["stage roof: there is none"]})
    assert (stranger.status, stranger.data) == (503, {"status": "unavailable"})


def test_a_flood_of_health_checks_takes_two_snapshots_a_second() -> None:
    """/healthz needs no token, so its result is reused between two snapshots."""
    clock, checks = Clock(), []

    def find_problems() -> list[str]:
        checks.append(clock.now_ns)
        return [f"checked {len(checks)} times"]

    check = ThrottledCheck(find_problems, clock)
    for _ in range(1000):
        problems = check()
        clock.pass_s(0.001)
    assert (checks, problems) == ([0, NS_PER_S // 2], ["checked 2 times"])


def test_the_api_is_read_only(served: Served) -> None:
    """POST is not allowed."""
    assert {served.get(path, "POST").status for path in ("/api/cameras", "/api/stats", "/healthz", "/metrics")} == {405}


def test_a_pipeline_is_not_ready_before_it_starts_nor_after_its_end() -> None:
    """The problems name the stages that do not run."""
    served = Served()
    readiness = Readiness(("depth", "show"), served.sink)
    assert readiness.problems(served.pipe.stats()) == ["stage depth: not started", "stage show: not started"]
    with served.serving():
        assert readiness.problems(served.pipe.stats()) == []
    assert readiness.problems(served.pipe.stats()) == ["stage depth: done", "stage show: done"]


def test_a_pipeline_is_not_ready_while_a_stage_opens() -> None:
    """A network that loads, an engine that is built: the stage is named."""
    is_loaded = threading.Event()

    def slow_to_open(items: Iterable[Any]) -> Iterator[Any]:
        assert is_loaded.wait(10.0)
        yield from items

    pipe = Pipeline("opening")
    pipe.stage("depth", slow_to_open, [pipe.source("capture.front", until_stopped)])
    readiness = Readiness(("depth",), WebSink())
    with pipe:
        wait_until(lambda: pipe.stats().stages[0].state == "waiting for the stages")
        assert readiness.problems(pipe.stats()) == ["the pipeline is opening what it needs: depth"]
        is_loaded.set()
        wait_until(lambda: readiness.problems(pipe.stats()) == [])


def test_a_stage_that_failed_is_named_without_passwords() -> None:
    """The message of the exception follows."""

    def fail(items: Iterable[Any]) -> Iterator[Any]:
        yield from ()
        raise OSError(f"rtsp://admin:{PASSWORD}@cam is gone")

    pipe = Pipeline("failing")
    pipe.stage("depth", fail, [pipe.source("capture.front", lambda stopping: iter(()))])
    with pytest.raises(StageError), pipe:
        pipe.wait(10.0)
    (problem,) = Readiness(("depth",), WebSink()).problems(pipe.stats())
    assert problem == "stage depth: failed: rtsp://admin:***@cam is gone"


def test_a_stage_that_hangs_is_noticed_after_a_minute(served: Served) -> None:
    """It is busy with a single item; as soon as it goes on, the pipeline is ready again."""
    clock = Clock()
    readiness = Readiness(("depth",), served.sink, clock)
    served.hold.set()
    assert served.is_held.wait(10.0)
    assert readiness.problems(served.pipe.stats()) == []
    clock.pass_s(59)
    assert readiness.problems(served.pipe.stats()) == []
    clock.pass_s(2)
    assert readiness.problems(served.pipe.stats()) == ["stage depth: busy in depth with one item for 61 s"]
    served.hold.clear()
    wait_until(lambda: readiness.problems(served.pipe.stats()) == [])


def test_a_stage_that_is_slow_by_nature_does_not_hang(served: Served) -> None:
    """Three times the p99 of the slowest step is waited for."""
    clock = Clock()
    readiness = Readiness(("depth",), served.sink, clock)
    stats = served.pipe.stats()
    slow = replace(
        stats.stages[2], state="busy in depth", steps={"depth": DurationSummary(4, 160.0, 40.0, 40.0, 40.0, 40.0)}
    )
    stats = replace(stats, stages=(*stats.stages[:2], slow, stats.stages[3]))
    assert readiness.problems(stats) == []
    clock.pass_s(119)
    assert readiness.problems(stats) == []
    clock.pass_s(2)
    assert readiness.problems(stats) == ["stage depth: busy in depth with one item for 121 s"]


def test_a_camera_that_must_run_may_be_dark_for_a_minute(served: Served) -> None:
    """After that it is a problem, with its state and its trouble; the other camera has shown depth meanwhile."""
    served.cut.set()
    wait_until(lambda: served.health.snapshot().state == "waiting")
    newest = served.sink.newest("front")
    assert newest
    stamp_ns, clock = newest.view.depth_map.frame.stamp.mono_ns, Clock()
    readiness = Readiness(("capture.front", "show"), served.sink, clock)
    clock.now_ns = stamp_ns + 59 * NS_PER_S
    assert readiness.problems(served.pipe.stats()) == []
    clock.pass_s(2)
    (problem,) = readiness.problems(served.pipe.stats())
    why = "waiting: cannot read rtsp://admin:***@10.0.0.7/main: connection refused"
    assert problem == f"camera front: no depth for 61 s ({why})"
    assert Readiness(("show",), served.sink, clock).problems(served.pipe.stats()) == [], "others are waited for"


def test_a_file_that_must_run_is_missed_when_it_is_over(served: Served) -> None:
    """Its capture stage has ended."""
    readiness = Readiness(("capture.clip",), served.sink)
    assert readiness.problems(served.pipe.stats()) == []
    served.over.set()
    wait_until(lambda: readiness.problems(served.pipe.stats()) == ["stage capture.clip: done"])


def test_readiness_of_no_camera_needs_no_depth() -> None:
    """The image service alone: its one stage waits for the end, busy for ever."""
    pipe = Pipeline("images")
    pipe.source("images", until_stopped)
    clock = Clock()
    readiness = Readiness(("images",), WebSink(), clock)
    with pipe:
        wait_until(lambda: readiness.problems(pipe.stats()) == [])
        clock.pass_s(3600)
        assert readiness.problems(pipe.stats()) == []
