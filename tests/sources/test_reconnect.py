"""Reconnecting: delays, numbers, log and end, with scripted cameras and a clock that the test moves."""

from __future__ import annotations

import gc
import itertools
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.clock import NS_PER_S, Stamp
from stream.errors import (
    AccessDenied,
    MissingPackage,
    SettingsError,
    SourceBehind,
    SourceError,
    SourceStalled,
    UsageError,
)
from stream.frames import Dropped, Frame
from stream.runtime.channel import Channel
from stream.runtime.pipeline import Pipeline
from stream.settings import NetworkCamera
from stream.sources.backoff import DEFAULT_DELAYS, BackoffDelays
from stream.sources.health import Health
from stream.sources.network.source import NetworkSource
from stream.sources.reconnect import Reconnecting
from stream.stages.capture import capture
from tests.rigs.rtsp_camera import Clip, RtspCamera

LOST, STALLED = SourceError("connection reset"), SourceStalled("no image for 1.8 s")
REFUSED = AccessDenied("401 Unauthorized")
IMAGE = np.zeros((4, 4, 3), np.uint8)
SHORT = 30.0
"""Real seconds: far more than anything here needs, far less than a delay that is not interrupted."""


def frame(seq: int) -> Frame:
    return Frame(IMAGE, "front", seq, Stamp(seq, 0))


class World:
    """The clock, the ``stopping`` event, and a record of every opening and closing."""

    def __init__(self, stop_after: int) -> None:
        self.ns, self.pauses, self.happened = 5 * NS_PER_S, [], []
        self.stopping = _Stopping(self, stop_after)

    def now_ns(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * NS_PER_S)


class _Stopping(threading.Event):
    """An event on which waiting takes no real time; wait number ``stop_after`` sets it, to end the test."""

    def __init__(self, world: World, stop_after: int) -> None:
        super().__init__()
        self._world, self._stop_after = world, stop_after

    def wait(self, timeout: float | None = None) -> bool:
        if len(self._world.pauses) == self._stop_after:
            self.set()
        else:
            self._world.pauses.append(timeout)
            self._world.pass_s(timeout)
        return self.is_set()


class Camera:
    """One connection: the error of its opening (or None), then Frames, Dropped, seconds to wait, or an error."""

    def __init__(self, world: World, on_open: BaseException | None, *gives: Any) -> None:
        self._world, self._on_open, self._gives = world, on_open, gives
        self.log_lines: tuple[str, ...] = ()
        self.clock_fault = ""

    def __enter__(self) -> Camera:
        if self._on_open:
            self.log_lines = ("[rtsp] not opened",)
            raise self._on_open
        self._note("opened")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._note("closed")

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        try:
            for thing in self._gives:
                if isinstance(thing, BaseException):
                    self.log_lines = ("[h264] concealing errors",)
                    raise thing
                if isinstance(thing, int | float):
                    self._world.pass_s(thing)
                else:
                    yield thing
        finally:
            self._note("read")

    def describe(self) -> str:
        return "rtsp://admin:s3cret@10.0.0.7/main: 640x360"

    def _note(self, what: str) -> None:
        self._world.happened.append((what, threading.get_ident()))


class Rig:
    """``Reconnecting`` over a script of connections; the last one repeats."""

    def __init__(self, *script: tuple[Any, ...], stop_after: int = 3, **options: Any) -> None:
        self.world = World(stop_after)
        self._script, self.tries = list(script), 0
        self.health = Health("front", self.world.now_ns)
        self.source = Reconnecting(self._open, self.health, now_ns=self.world.now_ns, **{"rng": Random(1), **options})

    def _open(self) -> Camera:
        step = self._script[min(self.tries, len(self._script) - 1)]
        self.tries += 1
        return Camera(self.world, *step)

    def run(self) -> list[Frame | Dropped]:
        with self.source as source:
            return list(source.frames(self.world.stopping))

    @property
    def events(self) -> list[str]:
        return [what for what, _ in self.world.happened]


def match_delays(pauses: list[float], rungs: list[float], jitter: float = 0.2) -> bool:
    return len(pauses) == len(rungs) and all(
        rung * (1 - jitter) <= pause <= rung * (1 + jitter) for pause, rung in zip(pauses, rungs, strict=True)
    )


def test_the_delays_of_a_lost_camera() -> None:
    """The delays are 1 s five times, 5 s five times, 10 s ten times, then a minute, each up to a fifth more or less."""
    rig = Rig((LOST,), stop_after=25)
    assert rig.run() == []
    assert match_delays(rig.world.pauses, [1.0] * 5 + [5.0] * 5 + [10.0] * 10 + [60.0] * 5)
    assert rig.tries == 26


def test_two_cameras_do_not_come_back_in_step() -> None:
    """The jitter covers its whole range and is reproducible with a seed."""
    seeds = [1, 1, *range(2, 12)]
    pauses = []
    for seed in seeds:
        rig = Rig((LOST,), stop_after=25, rng=Random(seed))
        rig.run()
        pauses.append(rig.world.pauses)
    assert pauses[0] == pauses[1]
    assert len({tuple(p) for p in pauses}) == len(seeds) - 1
    first = [pause for p in pauses[1:] for pause in p[:5]]
    assert min(first) < 0.85
    assert max(first) > 1.15


def test_a_refused_password_is_retried_rarely() -> None:
    """The delays are 1 min, 5 min, then 15 min, because cameras lock accounts."""
    rig = Rig((REFUSED,), stop_after=6)
    rig.run()
    assert match_delays(rig.world.pauses, [60.0, 300.0] + [900.0] * 4)


def test_refused_and_lost_tries_are_counted_apart() -> None:
    """A lost connection does not reset the count of refusals, nor the other way round."""
    script = [(REFUSED,), (LOST,), (REFUSED,), (LOST,)] + [(LOST,)] * 4 + [(REFUSED,)]
    rig = Rig(*script, stop_after=9)
    rig.run()
    assert match_delays(rig.world.pauses, [60.0, 1.0, 300.0, 1.0, 1.0, 1.0, 1.0, 5.0, 900.0])


@pytest.mark.parametrize(("lasted_s", "starts_again"), [(59.0, False), (60.0, True)])
def test_the_backoff_resets_after_a_minute_of_images(lasted_s: float, starts_again: bool) -> None:
    """The first image does not reset it: a camera that breaks off each time is backed off like an absent one."""
    flap = (None, frame(0), lasted_s, frame(1), LOST)
    rig = Rig(*[(REFUSED,)] + [(LOST,)] * 4 + [flap, flap, (REFUSED,)], stop_after=8)
    rig.run()
    lost = [1.0] * 6 if starts_again else [1.0] * 5 + [5.0]
    assert match_delays(rig.world.pauses, [60.0, *lost, 60.0 if starts_again else 300.0])


def test_one_image_a_minute_also_resets_the_backoff() -> None:
    """One image and an hour of silence do not: the time between the first and the last image counts."""
    rig = Rig((LOST,), (None, frame(0), 3600.0, STALLED), (None, frame(0), 60.0, frame(1), LOST), (LOST,), stop_after=4)
    rig.run()
    assert match_delays(rig.world.pauses, [1.0] * 4)
    climbing = Rig(*[(LOST,)] * 5, (None, frame(0), 3600.0, STALLED), stop_after=6)
    climbing.run()
    assert match_delays(climbing.world.pauses, [1.0] * 5 + [5.0])


def test_custom_delays() -> None:
    """The last delay repeats, and without jitter the delays are exact."""
    rig = Rig((LOST,), stop_after=4, delays=BackoffDelays(lost_s=(0.5, 2.0)), jitter=0.0)
    rig.run()
    assert rig.world.pauses == [0.5, 2.0, 2.0, 2.0]


def test_a_camera_may_be_absent_at_the_start() -> None:
    """``with`` opens nothing and does not fail; the camera is opened when it is available."""
    rig = Rig((LOST,), (LOST,), (None, frame(0), frame(1)), stop_after=2)
    with rig.source as source:
        assert rig.tries == 0
        assert rig.health.snapshot().state == "connecting"
        items = source.frames(rig.world.stopping)
        assert next(items).seq == 0
        assert rig.tries == 3
        assert rig.health.snapshot().state == "live"
        assert rig.health.snapshot().reconnects == 0
        assert len(list(items)) == 1
    assert rig.health.snapshot().state == "over"


def test_seq_continues_across_connections_and_dropped_frames() -> None:
    """Gaps of the camera remain, and name and number identify each frame."""
    dropped = Dropped((frame(1), frame(2)), "tainted")
    rig = Rig((None, frame(0), dropped, LOST), (None, Dropped((), "late"), STALLED), (None, frame(0), frame(4), LOST))
    items = rig.run()
    assert [(type(item), [f.seq for f in item.frames]) for item in items[:5]] == [
        (Frame, [0]),
        (Dropped, [1, 2]),
        (Dropped, []),
        (Frame, [3]),
        (Frame, [7]),
    ]
    assert items[1].reason == "tainted"
    assert items[5].seq == 8
    assert items[0].image is IMAGE
    assert items[3].stamp == Stamp(0, 0)


def test_a_recording_is_over_at_its_end() -> None:
    """A source that ends without an error is not opened again; live sources raise an error at their end."""
    rig = Rig((None, frame(0), LOST), (None, frame(0), frame(1)))
    assert [item.seq for item in rig.run()] == [0, 1, 2]
    assert rig.tries == 2
    assert rig.health.snapshot().state == "over"


def test_every_connection_is_read_and_closed_by_the_reading_thread() -> None:
    """This includes connections that ended with an error or before their first frame."""
    rig = Rig((None, frame(0), LOST), (LOST,), (None, frame(0), LOST), stop_after=3)
    thread = threading.Thread(target=rig.run, name="reader")
    thread.start()
    thread.join()
    assert rig.events == ["opened", "read", "closed"] * 3
    by = {
        what: {ident for happened, ident in rig.world.happened if happened == what}
        for what in ("opened", "read", "closed")
    }
    assert by["read"] == by["closed"] == {thread.ident}
    assert thread.ident not in by["opened"]


def test_stopping_does_not_wait_for_an_opening() -> None:
    """FFmpeg cannot be interrupted while opening; the abandoned thread closes the source and ends."""
    may_open, events = threading.Event(), list[str]()

    class Slow(Camera):
        def __enter__(self) -> Camera:
            may_open.wait(60)  # a stop that waited for it would find it opened
            return super().__enter__()

        def _note(self, what: str) -> None:
            events.append(what)

    stopping = threading.Event()
    threading.Timer(0.1, stopping.set).start()
    assert list(Reconnecting(lambda: Slow(World(3), None, frame(0)), Health("front")).frames(stopping)) == []
    assert events == []
    may_open.set()
    (opening,) = (thread for thread in threading.enumerate() if thread.name == "opening.front")
    opening.join(SHORT)
    assert events == ["opened", "closed"]


def test_closing_the_frames_early_closes_the_camera() -> None:
    """It closes at once, without another try, and the health record keeps the last state."""
    rig = Rig((None, frame(0), frame(1)))
    with rig.source as source:
        items = source.frames(rig.world.stopping)
        next(items)
        items.close()
        assert rig.events == ["opened", "read", "closed"]
    assert rig.tries == 1
    rig.world.pass_s(60.0)
    end = rig.health.snapshot()
    assert (end.state, end.trouble, end.since_s) == ("live", "", 0.0)


@pytest.mark.parametrize("fault", [ZeroDivisionError("ours"), UsageError("no"), SettingsError("no"), OSError("ours")])
@pytest.mark.parametrize("when", ["opening", "reading"])
def test_an_error_that_waiting_cannot_cure_is_raised(fault: Exception, when: str) -> None:
    """It is raised at once, with the camera closed and its health over."""
    rig = Rig((fault,) if when == "opening" else (None, frame(0), fault))
    with pytest.raises(type(fault)):
        rig.run()
    assert rig.world.pauses == []
    assert rig.events == ([] if when == "opening" else ["opened", "read", "closed"])
    assert (rig.health.snapshot().state, rig.health.snapshot().trouble) == ("over", str(fault))


def test_a_missing_package_is_raised_even_by_the_factory() -> None:
    """The factory raises it before opening; a SourceError from it is retried, without an older camera's log."""
    world = World(stop_after=9)
    health, logs = Health("front", world.now_ns), []
    makes = iter([Camera(world, STALLED), LOST, MissingPackage("pip install it")])

    def make() -> Camera:
        logs.append(health.snapshot().log)
        made = next(makes)
        if isinstance(made, Exception):
            raise made
        return made

    source = Reconnecting(make, health, now_ns=world.now_ns)
    with pytest.raises(MissingPackage), source:
        list(source.frames(world.stopping))
    assert len(world.pauses) == 2
    assert logs == [(), ("[rtsp] not opened",), ()]


def test_stopping_ends_it_wherever_it_is() -> None:
    """Stopping works before the first try, during a frame, and when the camera's own end looks like a loss."""
    before = Rig((None, frame(0)))
    before.world.stopping.set()
    assert before.run() == []
    assert before.tries == 0

    during = Rig((None, frame(0), LOST))
    with during.source as source:
        for _ in source.frames(during.world.stopping):
            during.world.stopping.set()
    assert during.tries == 1
    assert during.world.pauses == []
    assert during.health.snapshot().trouble == ""


def test_health_follows_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """It holds the state and its time, counts, the last error, the decoder's lines and the description."""
    rig = Rig((None, frame(0), 30.0, frame(1), 1.8, STALLED), (LOST,), (REFUSED,), (None, frame(0), LOST), jitter=0.0)
    seen = []
    rig.world.stopping.wait = lambda timeout: (seen.append(rig.health.snapshot()), rig.world.pass_s(timeout))
    items = rig.source.frames(rig.world.stopping)
    assert rig.health.snapshot().state == "connecting"
    next(items)
    assert rig.health.snapshot().state == "live"
    next(items)
    assert rig.health.snapshot().since_s == 30.0
    assert next(items).seq == 2
    assert [(s.state, s.trouble, s.log) for s in seen] == [
        ("waiting", "no image for 1.8 s", ("[h264] concealing errors",)),
        ("waiting", "connection reset", ("[rtsp] not opened",)),
        ("refused", "401 Unauthorized", ("[rtsp] not opened",)),
    ]
    back = rig.health.snapshot()
    assert (back.state, back.reconnects, back.stalls, back.trouble, back.log) == ("live", 1, 1, "", ())
    assert back.about == "rtsp://admin:***@10.0.0.7/main: 640x360"
    items.close()


def messages(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= level and r.name == "stream.sources.reconnect"]


def test_one_line_for_each_change_of_state_not_for_each_try(caplog: pytest.LogCaptureFixture) -> None:
    """Ten tries log two warnings; the tries in between are at debug level."""
    rig = Rig((None, frame(0), STALLED), *[(LOST,)] * 9, (None, frame(0)), stop_after=10, jitter=0.0)
    with caplog.at_level(logging.DEBUG, "stream"):
        rig.run()
    assert messages(caplog)[:2] == [
        "camera front: lost (no image for 1.8 s), trying again in 1 s",
        "camera front: back after 30 s",
    ]
    assert len(messages(caplog, logging.DEBUG)) - len(messages(caplog)) == 10
    assert "camera front: not available (connection reset), trying again in 5 s" in messages(caplog, logging.DEBUG)


def test_a_refusal_and_a_late_first_connection_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A camera that opens at the first try causes no warning."""
    script = [(LOST,), (LOST,), (REFUSED,), (REFUSED,), (None, frame(0), LOST), (None, frame(0), LOST)]
    rig = Rig(*script, stop_after=5, jitter=0.0)
    rig.run()
    assert messages(caplog) == [
        "camera front: not available (connection reset), trying again in 1 s",
        "camera front: refused (401 Unauthorized), trying again in 60 s",
        "camera front: available after 362 s",
        "camera front: lost (connection reset), trying again in 1 s",
        "camera front: back after 1 s",
        "camera front: lost (connection reset), trying again in 1 s",
    ]
    caplog.clear()
    good = Rig((None, frame(0), frame(1)))
    next(good.source.frames(good.world.stopping))
    assert messages(caplog) == []


def test_no_password_in_log_record_or_description(caplog: pytest.LogCaptureFixture) -> None:
    """No level shows it, whatever the error contains; an error of two lines is logged as one."""
    error = SourceError("cannot open\nrtsp://admin:s3cret@10.0.0.7/main: reset")
    rig = Rig((None, frame(0), error), (AccessDenied(str(error)),), (error,), stop_after=4)
    with caplog.at_level(logging.DEBUG):
        before = rig.source.describe()
        rig.run()
    seen = [before, rig.source.describe(), repr(rig.health.snapshot()), caplog.text, *messages(caplog, logging.DEBUG)]
    assert messages(caplog)
    assert not any("s3cret" in text for text in seen)
    assert not any("\n" in line for line in messages(caplog, logging.DEBUG))


def test_it_describes_itself_before_it_was_ever_open() -> None:
    """The text comes from the settings; nothing is opened for it."""
    rig = Rig((LOST,))
    assert rig.source.describe() == "rtsp://admin:***@10.0.0.7/main: 640x360"
    assert rig.events == []
    assert rig.health.snapshot().state == "connecting"


def test_a_stepped_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the clock going back an hour at each read, delays and health are the same."""

    def run() -> tuple[list[float], Any]:
        rig = Rig((None, frame(0), 61.0, frame(1), STALLED), (LOST,), (None, frame(0), STALLED), stop_after=12)
        rig.run()
        return rig.world.pauses, rig.health.snapshot()

    straight, wall = run(), [1.7e9]

    def stepped() -> float:
        wall[0] -= 3600
        return wall[0]

    monkeypatch.setattr("time.time", stepped)
    monkeypatch.setattr("time.time_ns", lambda: round(stepped() * NS_PER_S))
    monkeypatch.setattr("stream.core.clock.time_ns", lambda: round(stepped() * NS_PER_S))
    assert run() == straight


GIVES = st.sampled_from(["frame", "dropped", "second", "minute"])
ENDS = st.sampled_from([LOST, STALLED, REFUSED])
CONNECTIONS = st.lists(st.tuples(st.none() | ENDS, st.lists(GIVES, max_size=6), ENDS), min_size=1, max_size=12)


@pytest.mark.slow
@settings(deadline=None)
@given(CONNECTIONS)
def test_whatever_a_camera_does_numbers_rise_and_all_is_closed(connections: list[tuple[Any, list[str], Any]]) -> None:
    """The snapshot at every item is live, and the final counts agree with the script."""
    script = []
    for on_open, gives, end in connections:
        seqs = iter(range(100))
        make: dict[str, Callable[[], Any]] = {
            "frame": lambda seqs=seqs: frame(next(seqs)),
            "dropped": lambda seqs=seqs: Dropped((frame(next(seqs)), frame(next(seqs))), "late"),
            "second": lambda: 1.0,
            "minute": lambda: 60.0,
        }
        script.append((on_open, *[make[kind]() for kind in gives], end))
    rig = Rig(*script, stop_after=len(script) - 1)
    seqs: list[int] = []
    with rig.source as source:
        for item in source.frames(rig.world.stopping):
            assert rig.health.snapshot().state == "live"
            seqs += [f.seq for f in item.frames]
    assert all(a < b for a, b in itertools.pairwise(seqs))
    assert rig.tries == len(script)
    assert rig.events == ["opened", "read", "closed"] * sum(not step[0] for step in script)
    end = rig.health.snapshot()
    came_live = sum(not step[0] and any(isinstance(thing, Frame | Dropped) for thing in step[1:]) for step in script)
    stalls = sum(STALLED in step[1:] if not step[0] else step[0] is STALLED for step in script)
    within_the_hour = rig.world.ns < 3500 * NS_PER_S
    assert end.state == ("refused" if REFUSED in script[-1] and script[-1][0] in (None, REFUSED) else "waiting")
    assert end.reconnects == max(0, came_live - 1) or not within_the_hour
    assert end.stalls == stalls or not within_the_hour


class Hanging:
    """A camera that never opens, in real time; ``tried`` is set at each try."""

    log_lines = ()
    clock_fault = ""

    def __init__(self, tried: threading.Event) -> None:
        self._tried = tried

    def __enter__(self) -> Hanging:
        self._tried.set()
        raise LOST

    def __exit__(self, *exc_info: object) -> None: ...

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        raise AssertionError("never opened")

    def describe(self) -> str:
        return "camera that is never there"


SLOW = BackoffDelays(lost_s=(3600.0,))


def test_a_pause_of_an_hour_ends_at_once() -> None:
    """In real time: the delay waits on the event instead of polling a flag."""
    tried, stopping = threading.Event(), threading.Event()
    source = Reconnecting(lambda: Hanging(tried), Health("front"), delays=SLOW)
    thread = threading.Thread(target=lambda: list(source.frames(stopping)), name="reader")
    thread.start()
    assert tried.wait(SHORT)
    stopping.set()
    thread.join(SHORT)
    assert not thread.is_alive()


class Working:
    """A camera with ``count`` images that then waits for the end, in real time."""

    log_lines = ()
    clock_fault = ""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> Working:
        return self

    def __exit__(self, *exc_info: object) -> None: ...

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        for seq in range(self._count):
            yield Dropped((frame(seq),), "tainted") if seq % 10 == 9 else frame(seq)
        stopping.wait(SHORT)

    def describe(self) -> str:
        return "camera that works"


def test_in_a_pipeline_an_absent_camera_delays_no_other_and_the_account_holds() -> None:
    """200 images of one pass while the other is retried; both stop together, and every frame is accounted for."""
    tried = threading.Event()
    away, works = Health("away"), Health("front")
    pipe = Pipeline("two cameras", stop_timeout_s=SHORT)
    absent = pipe.source("capture.away", capture(Reconnecting(lambda: Hanging(tried), away, delays=SLOW)))
    present = pipe.source("capture.front", capture(Reconnecting(lambda: Working(200), works)))
    frames: Channel[Frame] = pipe.outlet("frames", after=[absent, present], capacity=4)
    pipe.add_camera(away.snapshot)
    pipe.add_camera(works.snapshot)
    with pipe:
        assert tried.wait(SHORT)
        got = [frame.seq for frame in itertools.islice(frames, 180)]
        stats = pipe.stats()
    assert got == [seq for seq in range(200) if seq % 10 != 9]
    assert [(camera.name, camera.state) for camera in stats.cameras] == [("away", "waiting"), ("front", "live")]
    assert pipe.stats().unaccounted == 0
    assert [str(account) for account in pipe.stats().accounts] == [
        "front: 200 captured = 180 published + 20 tainted (capture.front)"
    ]


def test_the_default_delays_are_go2rtcs() -> None:
    """The complete list of delays, in seconds."""
    assert DEFAULT_DELAYS.lost_s == (1.0,) * 5 + (5.0,) * 5 + (10.0,) * 10 + (60.0,)
    assert DEFAULT_DELAYS.refused_s == (60.0, 300.0, 900.0)


def behind() -> SourceBehind:
    return SourceBehind("images arrive 1.2 s late; connecting again")


def test_a_camera_that_fell_behind_is_connected_again_at_once(
    make_frame: Callable[..., Frame], caplog: pytest.LogCaptureFixture
) -> None:
    """It is well, only late: no delay, however often, one line in the log, and each time a reconnect in its health."""
    rig = Rig(
        *[(None, make_frame(0), 20.0, behind())] * 4, (None, make_frame(0), 0.1, SourceError("gone")), stop_after=5
    )
    rig.run()
    assert rig.world.pauses[:4] == [0.0] * 4
    assert rig.world.pauses[4] > 0.5
    assert rig.health.snapshot().reconnects == 5
    assert len([record for record in caplog.records if "late" in record.message]) == 1


def test_a_camera_that_is_behind_at_once_is_backed_off(make_frame: Callable[..., Frame]) -> None:
    """A new connection does not help there."""
    rig = Rig((None, make_frame(0), 1.0, behind()), stop_after=7)
    rig.run()
    assert match_delays(rig.world.pauses, [1.0] * 5 + [5.0] * 2)


def test_a_broken_clock_is_in_the_health_and_in_the_log(
    make_frame: Callable[..., Frame], caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each connection, and until the next one has begun."""
    rig = Rig((None, make_frame(0)))
    seen = []
    with rig.source as source, caplog.at_level("WARNING"):
        camera = Camera(rig.world, None, *(make_frame(seq) for seq in range(4)))
        rig.source._open = lambda: camera
        for index, _ in enumerate(source.frames(rig.world.stopping)):
            camera.clock_fault = "stands still" if index else ""
            seen.append(rig.health.snapshot().clock)
    assert seen == ["", "", *["its clock stands still: ages count from the arrival"] * 2]
    assert [record.message for record in caplog.records if "clock" in record.message] == [
        "camera front: its clock stands still: ages count from the arrival"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "stall", "refuse"])
def test_a_lost_connection_leaves_nothing_to_the_garbage_collector(fault: str) -> None:
    """It runs rarely, because few objects are made, and each connection's decoder and buffers hold megabytes."""
    made: weakref.WeakSet[NetworkSource] = weakref.WeakSet()
    stopping, lost = threading.Event(), 0
    with RtspCamera({"/cam": Clip.test_pattern(seconds=1)}) as camera:
        settings = NetworkCamera(source="rtsp", name="door", url=camera.url("/cam"), stall_s=0.5, open_s=1.0)

        def open_() -> NetworkSource:
            nonlocal lost
            lost += 1
            if lost == 4:
                stopping.set()
            source = NetworkSource(settings)
            made.add(source)
            return source

        gc.disable()
        try:
            source = Reconnecting(open_, Health("door"), delays=BackoffDelays(lost_s=(0.01,)))
            camera.refuse(fault == "refuse")
            for item in source.frames(stopping):
                if item.frames[0].seq % 5 == 4 and fault == "cut":
                    camera.cut("rst")
                elif item.frames[0].seq % 5 == 4:
                    camera.stall()
                else:
                    camera.resume()
            assert lost == 4
            assert len(made) == 0
        finally:
            gc.enable()
