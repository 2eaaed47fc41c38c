"""The health record of a camera: states, last hour, grade, and no password in any text."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.clock import NS_PER_S
from stream.errors import AccessDenied, SourceError, SourceStalled
from stream.sources.health import SLOTS, Health, LastHour, grade

LOST = SourceError("connection reset")
STALLED = SourceStalled("no image for 1.8 s")
REFUSED = AccessDenied("401")
HOUR_S = 3600.0


class Clock:
    """A monotonic clock that the test moves by hand."""

    def __init__(self) -> None:
        self.ns = 77_777_777_777

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * NS_PER_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health("front", clock)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads switch 500 times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def come_live(health: Health) -> None:
    health.connecting()
    health.live()


def test_a_camera_goes_through_its_states_and_says_since_when(health: Health, clock: Clock) -> None:
    """A refused password is a state of its own."""
    steps = [
        (health.connecting, (), "connecting"),
        (health.live, (), "live"),
        (health.lost, (STALLED,), "waiting"),
        (health.connecting, (), "connecting"),
        (health.lost, (REFUSED,), "refused"),
        (health.connecting, (), "connecting"),
        (health.over, (), "over"),
    ]
    assert health.snapshot().state == "connecting"
    for feed, arguments, state in steps:
        feed(*arguments)
        clock.pass_s(2.5)
        seen = health.snapshot()
        assert (seen.name, seen.state, seen.since_s) == ("front", state, 2.5)


def test_a_state_entered_again_goes_on(health: Health, clock: Clock) -> None:
    """Entering the same state again does not restart its time."""
    clock.pass_s(2)
    health.connecting()
    assert health.snapshot().since_s == 2.0
    health.over()
    clock.pass_s(3)
    health.over()
    assert health.snapshot().since_s == 3.0


def test_a_camera_is_offline_from_its_last_image_to_its_next_however_often_it_is_tried(
    health: Health, clock: Clock
) -> None:
    """Each try restarts ``since_s`` but not ``offline_s``, and neither a refusal nor giving up changes that."""
    come_live(health)
    clock.pass_s(10)
    assert health.snapshot().offline_s == 0.0
    seen = []
    for error in (STALLED, LOST, REFUSED, LOST):
        health.lost(error)
        clock.pass_s(5)
        seen.append((health.snapshot().since_s, health.snapshot().offline_s))
        health.connecting()
        clock.pass_s(2)
        seen.append((health.snapshot().since_s, health.snapshot().offline_s))
    assert seen == [(5, 5), (2, 7), (5, 12), (2, 14), (5, 19), (2, 21), (5, 26), (2, 28)]
    health.live()
    clock.pass_s(3)
    assert health.snapshot().offline_s == 0.0
    health.lost(LOST)
    clock.pass_s(4)
    health.over()
    clock.pass_s(1)
    assert (health.snapshot().since_s, health.snapshot().offline_s) == (1.0, 5.0)


def test_a_camera_that_never_came_is_offline_from_the_start(health: Health, clock: Clock) -> None:
    """This includes the time before the first try; a source opened again after its end starts anew."""
    clock.pass_s(2)
    for _ in range(3):
        health.connecting()
        clock.pass_s(1)
        health.lost(LOST)
        clock.pass_s(9)
    assert health.snapshot().offline_s == 32.0
    health.over()
    clock.pass_s(60)
    health.connecting()
    assert health.snapshot().offline_s == 0.0
    clock.pass_s(3)
    assert health.snapshot().offline_s == 3.0


def test_the_record_stays_as_it_was_when_the_pipeline_stopped(health: Health, clock: Clock) -> None:
    """The record is unchanged an hour later, until the camera is tried again."""
    come_live(health)
    clock.pass_s(30)
    health.stopped()
    before = health.snapshot()
    clock.pass_s(HOUR_S)
    assert health.snapshot() == before
    assert (before.state, before.since_s, before.grade) == ("live", 30.0, "good")
    health.over()
    health.connecting()
    assert (health.snapshot().state, health.snapshot().since_s) == ("connecting", 0.0)


def test_an_impossible_transition_fails_an_assertion(health: Health) -> None:
    """A camera cannot be live before connecting, nor lost twice."""
    health.connecting()
    health.lost(LOST)
    with pytest.raises(AssertionError, match="from waiting to live"):
        health.live()
    with pytest.raises(AssertionError, match="from waiting to waiting"):
        health.lost(LOST)
    assert health.snapshot().state == "waiting"


def test_the_first_connection_is_no_reconnect_and_only_a_stall_is_a_stall(health: Health) -> None:
    """A camera that was absent at the start has no reconnect when it comes."""
    health.connecting()
    health.lost(LOST)
    come_live(health)
    assert (health.snapshot().reconnects, health.snapshot().stalls) == (0, 0)
    for error in (LOST, STALLED, REFUSED):
        health.lost(error)
        come_live(health)
    assert (health.snapshot().reconnects, health.snapshot().stalls) == (3, 1)


def test_the_trouble_and_the_decoders_last_lines_stay_until_the_next_image(health: Health) -> None:
    """Ten lines are kept, and connecting alone does not clear them."""
    come_live(health)
    health.lost(STALLED, [f"line {i}" for i in range(15)])
    health.connecting()
    assert health.snapshot().trouble == "no image for 1.8 s"
    assert health.snapshot().log == tuple(f"line {i}" for i in range(5, 15))
    health.live()
    assert (health.snapshot().trouble, health.snapshot().log) == ("", ())


def test_no_password_gets_into_a_snapshot(health: Health) -> None:
    """The error, the decoder's log, the description and the final error are redacted, each to one line."""
    url = "rtsp://admin:s3cret:x@10.0.0.7/main"
    health.set_about(f"{url},\n25 fps")
    come_live(health)
    health.lost(SourceError(f"cannot open\n{url}: refused"), [f"[rtsp] {url}\nmethod DESCRIBE failed"])
    seen = health.snapshot()
    assert "s3cret" not in repr(seen)
    assert seen.trouble == "cannot open rtsp://admin:***@10.0.0.7/main: refused"
    assert "\n" not in "".join([seen.about, seen.trouble, *seen.log])
    health.over(ValueError(f"bad answer of {url}"))
    assert health.snapshot().trouble == "bad answer of rtsp://admin:***@10.0.0.7/main"


def test_reconnects_and_stalls_are_of_the_last_hour(health: Health, clock: Clock) -> None:
    """Each event leaves the counts an hour, less at most 10 s, after it came."""
    come_live(health)
    for _ in range(3):
        clock.pass_s(600)
        health.lost(STALLED)
        come_live(health)
    counts = []
    for _ in range(8):
        counts.append((health.snapshot().reconnects, health.snapshot().stalls))
        clock.pass_s(600)
    assert counts == [(3, 3)] * 4 + [(2, 2), (1, 1), (0, 0), (0, 0)]


@pytest.mark.slow
def test_a_month_of_troubles_takes_no_more_memory_than_an_hour() -> None:
    """Memory is 360 slots of ten seconds, and the sums return to zero."""
    hour = LastHour()
    for second in range(0, 30 * 86400, 60):
        hour.add(second * NS_PER_S, "stalls")
        hour.add_time(second * NS_PER_S, (second + 60) * NS_PER_S, "tried_ns", "live_ns")
    assert len(hour._slots) <= SLOTS
    assert hour.totals(30 * 86400 * NS_PER_S)["stalls"] == pytest.approx(60, abs=1)
    assert not any(hour.totals(31 * 86400 * NS_PER_S).values())


def test_images_are_counted_by_integrity_from_the_start_on(health: Health, clock: Clock) -> None:
    """All four kinds are listed, also those with a count of zero."""
    come_live(health)
    for integrity in ("clean", "clean", "tainted", "black"):
        health.count_image(integrity)
        clock.pass_s(HOUR_S)
    assert health.snapshot().integrity == {"clean": 2, "tainted": 1, "frozen": 0, "black": 1}


def hour(**changed: float) -> Counter[str]:
    """The totals of a perfect hour at 25 images a second, except for ``changed``."""
    down_s, tried_s = changed.pop("down_s", 0.0), changed.pop("tried_s", HOUR_S)
    hour = {"tried_ns": tried_s * NS_PER_S, "live_ns": (tried_s - down_s) * NS_PER_S, "images": tried_s * 25}
    return Counter({**hour, **changed})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "good"),
        ({"tried_s": 9.9}, "unknown"),
        ({"tried_s": 0.0}, "unknown"),
        ({"down_s": 36.0}, "good"),
        ({"down_s": 36.1}, "fair"),
        ({"down_s": 180.1}, "poor"),
        ({"reconnects": 2, "stalls": 2}, "good"),
        ({"reconnects": 3}, "fair"),
        ({"stalls": 3}, "fair"),
        ({"reconnects": 12, "stalls": 12}, "fair"),
        ({"reconnects": 13}, "poor"),
        ({"stalls": 13}, "poor"),
        ({"damaged": 450}, "good"),
        ({"damaged": 451}, "fair"),
        ({"damaged": 4501}, "poor"),
        ({"tried_s": 20.0, "down_s": 1.2}, "good"),
        ({"tried_s": 20.0, "damaged": 15}, "good"),
        ({"tried_s": 20.0, "damaged": 16}, "fair"),
        ({"tried_s": 20.0, "down_s": 4.0}, "fair"),
        ({"tried_s": 20.0, "down_s": 10.0}, "poor"),
        ({"tried_s": 20.0, "down_s": 20.0, "images": 0}, "poor"),
    ],
)
def test_the_worst_metric_decides_the_grade(changed: dict[str, float], expected: str) -> None:
    """Check the limits of the table in the docstring of ``grade``."""
    assert grade(hour(**changed)) == expected


def test_a_grade_takes_ten_seconds_of_trying(health: Health, clock: Clock) -> None:
    """The time starts at the first try, not when the pipeline is built."""
    clock.pass_s(100)
    come_live(health)
    clock.pass_s(9.9)
    assert health.snapshot().grade == "unknown"
    clock.pass_s(0.1)
    assert health.snapshot().grade == "good"


def test_a_camera_that_never_came_is_poor_and_earns_its_way_up(health: Health, clock: Clock) -> None:
    """30 s of absence are 5 % after ten minutes and 1 % after fifty; anything older than an hour is forgotten."""
    health.connecting()
    clock.pass_s(30)
    assert health.snapshot().grade == "poor"
    health.live()
    grades = []
    for minutes in (1, 10, 45):
        clock.pass_s(minutes * 60)
        grades.append(health.snapshot().grade)
    assert grades == ["poor", "fair", "good"]
    health.lost(LOST)
    clock.pass_s(HOUR_S)
    assert health.snapshot().grade == "poor"


def test_a_camera_that_is_over_is_not_charged_for_it(health: Health, clock: Clock) -> None:
    """The last hour keeps its grade; an hour later the grade is unknown."""
    come_live(health)
    clock.pass_s(600)
    health.over()
    clock.pass_s(1800)
    assert health.snapshot().grade == "good"
    clock.pass_s(HOUR_S)
    assert health.snapshot().grade == "unknown"


def test_damaged_images_spoil_the_grade_and_black_ones_do_not(clock: Clock) -> None:
    """A dark room is not the connection's fault."""
    grades = {}
    for fault in ("clean", "tainted", "frozen", "black"):
        health = Health(fault, clock)
        come_live(health)
        for number in range(600):
            clock.pass_s(1)
            health.count_image(fault if number % 5 == 0 else "clean")
        grades[fault] = health.snapshot().grade
    assert grades == {"clean": "good", "tainted": "poor", "frozen": "poor", "black": "good"}


MAY_FOLLOW = {
    "connecting": {"live", "waiting", "refused", "over"},
    "live": {"waiting", "refused", "over"},
    "waiting": {"connecting", "over"},
    "refused": {"connecting", "over"},
    "over": {"connecting"},
}
EVENTS = {
    "connecting": lambda health: health.connecting(),
    "live": lambda health: health.live(),
    "lost": lambda health: health.lost(LOST, ["a", "b"]),
    "stalled": lambda health: health.lost(STALLED),
    "refused": lambda health: health.lost(REFUSED),
    "over": lambda health: health.over(),
    "image": lambda health: health.count_image("tainted"),
}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(EVENTS)), st.floats(0, 2000) | st.floats(0, 20) | st.just(0.0)), max_size=60
)


@pytest.mark.slow
@settings(deadline=None)
@given(STEPS)
def test_whatever_happens_a_snapshot_is_consistent(steps: list[tuple[str, float]]) -> None:
    """States follow the drawing, stalls and reconnects match a list of all times, nothing is negative."""
    clock = Clock()
    health, states, times = Health("front", clock), ["connecting"], {"stalls": [], "reconnects": []}
    images = 0
    for event, pause_s in steps:
        before = health.snapshot()
        try:
            EVENTS[event](health)
        except AssertionError:
            after = health.snapshot()
            assert (after.state, after.reconnects, after.stalls) == (before.state, before.reconnects, before.stalls)
            continue
        images += event == "image"
        if event == "stalled":
            times["stalls"].append(clock.ns)
        if event == "live" and "live" in states:
            times["reconnects"].append(clock.ns)
        states.append(health.snapshot().state)
        clock.pass_s(pause_s)
        seen = health.snapshot()
        assert seen.since_s >= pause_s - 1e-6
        assert seen.offline_s == 0 if seen.state == "live" else seen.offline_s >= seen.since_s
        assert seen.grade in ("unknown", "good", "fair", "poor")
        assert seen.integrity == {"clean": 0, "tainted": images, "frozen": 0, "black": 0}
        for what, ns in times.items():
            ages_s = [(clock.ns - at) / NS_PER_S for at in ns]
            within = sum(age_s < HOUR_S - 10 for age_s in ages_s), sum(age_s <= HOUR_S for age_s in ages_s)
            assert within[0] <= getattr(seen, what) <= within[1]
        assert all(count >= 0 for count in health._hour.totals(clock.ns).values())
    assert all(a == b or b in MAY_FOLLOW[a] for a, b in pairwise(states))


def test_snapshots_from_other_threads_never_show_half_an_event(hasty_threads: None) -> None:
    """In a thousand breaks, lost and its stall appear together, as do live and its reconnect."""
    health, done, wrong = Health("front"), threading.Event(), []

    def look() -> None:
        while not done.is_set():
            seen = health.snapshot()
            if seen.stalls - seen.reconnects not in ((0,) if seen.state == "live" else (0, 1)):
                wrong.append(seen)
            if bool(seen.trouble) != bool(seen.log) or (seen.trouble and seen.state == "live"):
                wrong.append(seen)

    come_live(health)
    readers = [threading.Thread(target=look, name=f"reader {i}") for i in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(1000):
        health.lost(STALLED, ["cut off"])
        health.connecting()
        health.live()
        health.count_image("clean")
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert health.snapshot().reconnects == 1000
