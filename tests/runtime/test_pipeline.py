"""Graphs of real threads: delivery, failure, stopping, and the account of every frame at any moment."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from stream.core.clock import Stamp
from stream.errors import StageError
from stream.frames import Dropped, Frame
from stream.runtime.channel import ChannelClosed, Policy
from stream.runtime.pipeline import Pipeline, chain
from stream.runtime.worker import Body, Worker, greedy_batches

FrameMaker = Callable[..., Frame]


def camera(frames: Iterable[Frame]) -> Body:
    def body(stopping: threading.Event) -> Iterator[Frame]:
        for frame in frames:
            if stopping.is_set():
                return
            yield frame

    return body


def endless(make_frame: FrameMaker, name: str = "cam0") -> Body:
    return camera(make_frame(seq, name) for seq in range(10**9))


def same(items: Iterable[Any]) -> Iterator[Any]:
    yield from items


def collect(into: list[Any]) -> Body:
    def body(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            into.append(item)
            yield item

    return body


def fail_at(seq: int) -> Body:
    def body(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.seq == seq:
                raise ValueError("boom")
            yield frame

    return body


def test_a_file_pipeline_delivers_everything_in_order(make_frame: FrameMaker) -> None:
    """Blocking edges lose nothing."""
    got: list[Frame] = []
    pipe = Pipeline("file")
    source = pipe.source("capture", camera(make_frame(seq) for seq in range(200)))
    middle = pipe.stage("middle", chain(one=same, two=same), [source])
    pipe.stage("publish", collect(got), [middle])
    with pipe:
        assert pipe.wait(10.0)
    assert [frame.seq for frame in got] == list(range(200))
    (account,) = pipe.stats().accounts
    assert (account.captured, account.published, account.dropped, account.in_flight) == (200, 200, {}, 0)


@pytest.mark.slow
def test_every_frame_is_accounted_for_at_any_moment(make_frame: FrameMaker) -> None:
    """Snapshots of a running live graph with two cameras and two sinks."""
    pipe = Pipeline("live")
    cameras = [pipe.source(f"capture.{name}", endless(make_frame, name)) for name in "ab"]
    depth = pipe.stage("depth", same, cameras, policy="latest")
    pipe.stage("sink.fast", same, [depth], policy="drop_oldest")
    pipe.stage("sink.slow", slow_reader(), [depth], policy="drop_oldest")
    before: dict[tuple[str, str], int] = {}
    with pipe:
        for _ in range(200):
            for account in pipe.stats().accounts:
                place = (account.terminal, account.camera)
                meanwhile = account.captured - before.get(place, 0)  # a snapshot takes time, and cameras go on
                assert 0 <= account.in_flight <= 8 + meanwhile, account
                before[place] = account.captured
    final = pipe.stats()
    assert len(final.accounts) == 4
    assert final.unaccounted == 0
    assert all(account.captured > 0 for account in final.accounts)


def slow_reader() -> Body:
    def body(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            threading.Event().wait(0.002)
            yield item

    return body


def test_a_failing_stage_stops_the_pipeline_and_keeps_its_cause(make_frame: FrameMaker) -> None:
    """The error names the stage; frames on the way are counted as stopped or failed."""
    pipe = Pipeline("failing")
    source = pipe.source("capture", endless(make_frame))
    depth = pipe.stage("depth", fail_at(20), [source])
    pipe.stage("publish", same, [depth])
    with pytest.raises(StageError, match="stage 'depth' failed: boom") as caught, pipe:
        pipe.wait(10.0)
    assert isinstance(caught.value.__cause__, ValueError)
    (account,) = pipe.stats().accounts
    assert account.in_flight == 0
    assert account.dropped["failed (depth)"] == 1


def test_a_failing_source_still_delivers_what_it_captured(make_frame: FrameMaker) -> None:
    """A truncated file: every frame that was read comes out, then the error is raised."""

    def truncated(_: threading.Event) -> Iterator[Frame]:
        yield from (make_frame(seq) for seq in range(30))
        raise OSError("file ends early")

    got: list[Frame] = []
    pipe = Pipeline("truncated")
    source = pipe.source("capture", truncated)
    pipe.stage("publish", collect(got), [source])
    with pytest.raises(StageError, match="file ends early"), pipe:
        pipe.wait(10.0)
    assert len(got) == 30


def test_a_failing_camera_does_not_stop_another(make_frame: FrameMaker) -> None:
    """The other camera goes on until it ends by itself."""
    got: list[Frame] = []
    pipe = Pipeline("two cameras")
    bad = pipe.source("capture.bad", lambda stopping: iter(()).__next__())
    good = pipe.source("capture.good", camera(make_frame(seq, "good") for seq in range(50)))
    pipe.stage("publish", collect(got), [bad, good])
    with pytest.raises(StageError, match=r"capture\.bad"), pipe:
        pipe.wait(10.0)
    assert len(got) == 50


def test_a_failing_stage_is_reported_before_a_source_that_failed_earlier(make_frame: FrameMaker) -> None:
    """The source's error ended one camera, the stage's the whole pipeline."""

    def captures(stopping: threading.Event) -> Iterator[Frame]:
        yield make_frame()
        raise ValueError("unplugged")

    def fails_later(frames: Iterable[Frame]) -> Iterator[Frame]:
        for _ in frames:
            while source.error is None:
                threading.Event().wait(0.001)
            raise ValueError("boom")
        yield make_frame()

    pipe = Pipeline("two failures")
    source = pipe.source("capture", captures)
    depth = pipe.stage("depth", fails_later, [source])
    with pytest.raises(StageError, match="stage 'depth' failed: boom"), pipe:
        pipe.wait(5.0)
    assert source.failed_at_ns < depth.failed_at_ns


def test_what_a_step_dropped_is_not_counted_again_when_the_stage_fails(make_frame: FrameMaker) -> None:
    """One frame left out, one lost to the failure; the account closes."""

    def body(frames: Iterable[Frame]) -> Iterator[Frame | Dropped]:
        for frame in frames:
            if frame.seq == 1:
                raise ValueError("boom")
            yield Dropped((frame,), "unwanted")

    pipe = Pipeline("dropped, then failed")
    pipe.stage("depth", body, [pipe.source("capture", camera(make_frame(seq) for seq in range(2)))])
    with pytest.raises(StageError), pipe:
        pipe.wait(5.0)
    assert pipe.stats().stages[-1].dropped == {("cam0", "unwanted"): 1, ("cam0", "failed"): 1}
    assert pipe.stats().unaccounted == 0


@pytest.mark.parametrize("without", ["capture", "depth", "other", "publish"])
def test_a_thread_that_cannot_be_started_ends_the_others(
    without: str, make_frame: FrameMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error goes up and no stage waits for ever."""
    pipe = Pipeline("short of threads")
    source = pipe.source("capture", endless(make_frame))
    depth = pipe.stage("depth", same, [source])
    other = pipe.source("other", endless(make_frame, "cam1"))
    workers = {worker.name: worker for worker in (source, depth, other, pipe.stage("publish", same, [depth, other]))}

    def no_thread() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(workers[without], "start", no_thread)
    with pytest.raises(RuntimeError, match="can't start new thread"), pipe:
        pytest.fail("the pipeline has begun")
    assert not any(worker.is_alive() for worker in workers.values())


def test_draining_delivers_what_is_in_flight(make_frame: FrameMaker) -> None:
    """After ``drain`` sources end and every captured frame arrives."""
    got: list[Frame] = []
    pipe = Pipeline("drained")
    source = pipe.source("capture", endless(make_frame))
    pipe.stage("publish", collect(got), [source], capacity=4)
    with pipe:
        while not got:
            pipe.wait(0.02)
    (account,) = pipe.stats().accounts
    assert account.captured == account.published == len(got) > 0


def test_a_stuck_stage_is_named(make_frame: FrameMaker) -> None:
    """The error names the stage that did not stop, and its activity."""
    began, release = threading.Event(), threading.Event()

    def stuck(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            began.set()
            release.wait(60.0)
            yield item

    pipe = Pipeline("stuck", stop_timeout_s=0.1)
    source = pipe.source("capture", endless(make_frame))
    pipe.stage("publish", chain(writing=stuck), [source])
    with pytest.raises(StageError, match=r"publish \(busy in writing\)"), pipe:
        assert began.wait(30.0)
    release.set()
    assert pipe.wait(30.0)


def test_an_exception_in_the_with_block_aborts(make_frame: FrameMaker) -> None:
    """The user's own error comes out; nothing is left running."""
    pipe = Pipeline("interrupted")
    source = pipe.source("capture", endless(make_frame))
    pipe.stage("publish", same, [source])
    with pytest.raises(KeyboardInterrupt), pipe:
        raise KeyboardInterrupt
    assert pipe.wait(30.0)


def test_a_body_finishes_its_work_when_aborted(make_frame: FrameMaker) -> None:
    """``with`` blocks inside a body are left, so that files are closed; their errors are reported."""

    def finishing(items: Iterable[Any]) -> Iterator[Any]:
        try:
            yield from items
        finally:
            raise OSError("disk full while closing")

    pipe = Pipeline("closing")
    source = pipe.source("capture", endless(make_frame))
    depth = pipe.stage("depth", chain(first=finishing, second=same), [source])
    pipe.stage("publish", fail_at(5), [depth])
    with pytest.raises(StageError), pipe:
        pipe.wait(5.0)
    states = {stage.name: stage.state for stage in pipe.stats().stages}
    assert states["depth"] == "failed: disk full while closing"


def test_dropped_frames_bypass_later_steps(make_frame: FrameMaker) -> None:
    """A step that refuses a frame says so; the next step never sees it and the account says why."""

    def even_only(frames: Iterable[Frame]) -> Iterator[Frame | Dropped]:
        for frame in frames:
            yield frame if frame.seq % 2 == 0 else Dropped((frame,), "odd")

    seen: list[Frame] = []
    pipe = Pipeline("refusing")
    source = pipe.source("capture", camera(make_frame(seq) for seq in range(10)))
    pipe.stage("publish", chain(check=even_only, write=collect(seen)), [source])
    with pipe:
        pipe.wait(5.0)
    assert [frame.seq for frame in seen] == [0, 2, 4, 6, 8]
    (account,) = pipe.stats().accounts
    assert account.dropped == {"odd (publish)": 5}
    assert account.in_flight == 0


def test_a_body_may_take_what_waits(make_frame: FrameMaker) -> None:
    """Greedy batches of several cameras: at most max_items, no camera twice, every frame accounted for."""
    sizes: list[int] = []
    seen: list[Frame] = []
    gate = threading.Event()

    def batched(frames: Iterable[Frame]) -> Iterator[Frame]:
        for batch in greedy_batches(frames, 3, 0.05):
            gate.wait(5.0)
            sizes.append(len(batch))
            assert len({frame.camera for frame in batch}) == len(batch)
            yield from batch

    pipe = Pipeline("greedy")
    cameras = [pipe.source(name, camera([make_frame(seq, name) for seq in range(20)])) for name in "abcde"]
    depth = pipe.stage("depth", chain(batch=batched, same=same), cameras, policy="latest")
    pipe.stage("publish", collect(seen), [depth])
    with pipe:
        threading.Timer(0.2, gate.set).start()
        assert pipe.wait(10.0)
    assert max(sizes) == 3
    assert sum(sizes) == len(seen)
    assert pipe.stats().unaccounted == 0
    assert {account.captured for account in pipe.stats().accounts} == {20}


def test_greedy_takes_plain_lists_one_by_one() -> None:
    """Bodies can be tested without a pipeline."""
    assert list(greedy_batches([1, 2, 3], 8, 60.0)) == [[1], [2], [3]]


def test_a_frame_swallowed_in_silence_shows(make_frame: FrameMaker) -> None:
    """The account does not close when a stage loses a frame without a word."""

    def swallowing(frames: Iterable[Frame]) -> Iterator[Frame]:
        yield from (frame for frame in frames if frame.seq != 3)

    pipe = Pipeline("swallowing")
    source = pipe.source("capture", camera(make_frame(seq) for seq in range(10)))
    pipe.stage("publish", swallowing, [source])
    with pipe:
        pipe.wait(5.0)
    assert pipe.stats().unaccounted == 1


def test_an_outlet_feeds_the_main_thread(make_frame: FrameMaker) -> None:
    """Leaving the block early drops unread items, and counts them."""
    pipe = Pipeline("outlet")
    source = pipe.source("capture", endless(make_frame))
    outlet = pipe.outlet("main", [source], capacity=2)
    with pipe:
        first = [outlet.get(2.0).seq for _ in range(5)]
    assert first == [0, 1, 2, 3, 4]
    (account,) = pipe.stats().accounts
    assert account.published == 5
    assert account.in_flight == 0


def test_age_is_measured_at_the_terminal(make_frame: FrameMaker) -> None:
    """Age is the time from capture to publication by the monotonic clock."""
    stale = Frame(make_frame().image, "cam0", 0, Stamp(Stamp.now().mono_ns - 250_000_000, 0))
    pipe = Pipeline("age")
    source = pipe.source("capture", camera([stale]))
    pipe.stage("publish", same, [source])
    with pipe:
        pipe.wait(5.0)
    age = pipe.stats().stages[-1].age
    assert age.count == 1
    assert age.max_s >= 0.25


def test_recipes_add_statistics_and_notes(make_frame: FrameMaker) -> None:
    """They are evaluated for every snapshot."""
    pipe, seen = Pipeline("statistics"), list[Frame]()
    source = pipe.source("capture", camera(make_frame(seq) for seq in range(3)))
    pipe.stage("publish", collect(seen), [source])
    pipe.add_statistics("seen", lambda: {"frames": len(seen)})
    pipe.add_note(lambda: f"a note after {len(seen)}")
    before = pipe.stats()
    with pipe:
        pipe.wait(5.0)
    after = pipe.stats()
    assert (before.statistics["seen"], after.statistics["seen"]) == ({"frames": 0}, {"frames": 3})
    assert (before.notes, after.notes) == (("a note after 0",), ("a note after 3",))


def test_two_stages_of_one_name_are_refused(make_frame: FrameMaker) -> None:
    """Names are how people find a stage."""
    pipe = Pipeline("twins")
    source = pipe.source("capture", endless(make_frame))
    pipe.stage("depth", same, [source])
    with pytest.raises(ValueError, match="two stages called 'depth'"):
        pipe.stage("depth", same, [source])


def test_the_graph_can_be_read(make_frame: FrameMaker) -> None:
    """One line per stage: its steps, its inputs and their policy."""
    pipe = Pipeline("graph")
    source = pipe.source("capture", endless(make_frame))
    pipe.stage("depth", chain(preprocess=same, infer=same), [source], policy="latest")
    assert pipe.graph() == ["capture", "depth [preprocess > infer]  after capture (latest, capacity 1)"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(120))
def test_random_graphs_start_and_stop_without_a_hang(seed: int, make_frame: FrameMaker) -> None:
    """Cameras, policies, failures, leavers and readers at random: it always stops and accounts for every frame."""
    rng = random.Random(seed)
    pipe = Pipeline(f"random {seed}", stop_timeout_s=5.0)
    outlet = random_graph(pipe, rng, make_frame)
    try:
        with pipe:
            for _ in range(rng.choice((0, 5, 40))):
                outlet.get(0.2)
    except StageError as error:
        assert "boom" in str(error)  # noqa: PT017 - failing is one of two right outcomes
    except (TimeoutError, ChannelClosed):
        pass  # the graph ended before the reader had enough
    assert pipe.wait(5.0)
    assert pipe.stats().unaccounted == 0


def random_graph(pipe: Pipeline, rng: random.Random, make_frame: FrameMaker) -> Any:
    def stage(name: str, body: Body, after: list[Worker]) -> Worker:
        policies: tuple[Policy, ...] = ("block", "drop_oldest", "drop_newest", "latest")
        return pipe.stage(name, body, after, capacity=rng.choice((1, 2, 4)), policy=rng.choice(policies))

    def leaver(items: Iterable[Any]) -> Iterator[Any]:
        for count, item in enumerate(items):
            if count == 10:
                yield Dropped(item.frames, "leaving")
                return
            yield item

    cameras = [pipe.source(f"c{i}", endless(make_frame, f"cam{i}")) for i in range(rng.choice((1, 2, 4)))]
    first = stage("first", rng.choice((same, same, fail_at(15))), cameras)
    second = stage("second", rng.choice((same, same, leaver)), [first])
    stage("sink", rng.choice((same, slow_reader(), fail_at(20))), [second])
    return pipe.outlet("main", [second], policy=rng.choice(("block", "drop_oldest")))
