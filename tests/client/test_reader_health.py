"""The health of a stream as its reader sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from stream.client.age import AgeClock
from stream.client.health import HealthRecord
from stream.client.subscriber import Subscriber
from stream.wire.header import Header
from stream.wire.message import parse
from tests.client.sending import Sending, depth_map, packed

S = 1_000_000_000
EPOCH = 1_700_000_000 * S
LONG_S = 20.0


@dataclass
class Reading:
    """A record fed by hand, by a clock that stands still."""

    every: bool = False
    """All messages are received, not only the newest."""
    now: int = 100 * S
    record: HealthRecord = field(init=False)

    def __post_init__(self) -> None:
        clock = AgeClock(lambda: self.now, lambda: EPOCH + self.now)
        self.record = HealthRecord(clock, lambda: self.now, count_rate=self.every)

    def frames(self, count: int, fps: float, *, first: int = 0, step: int = 1, server_id: int = 7) -> None:
        """They come 5 ms old."""
        for n in range(count):
            self.now += round(S / fps)
            self.record.received(header(self.now, first + n * step, server_id), self.now - 1)

    def info(self, **data: object) -> None:
        self.record.announced("info/front", data)

    def status(self, **data: object) -> None:
        self.record.announced("status/front", data)


def header(now: int, seq: int, server_id: int) -> Header:
    message = parse(packed(depth_map(seq), age_s=0.0, server_id=server_id)).header
    when = EPOCH + now - S // 200
    return Header(
        **{**{name: getattr(message, name) for name in message.__slots__}, "capture_ns": when, "publish_ns": when}
    )


@pytest.fixture
def reading() -> Reading:
    return Reading()


def test_before_the_first_frame_nothing_is_claimed(reading: Reading) -> None:
    """Dead, and the rest unknown."""
    health = reading.record.snapshot("connecting")
    assert (health.alive, health.rate_ok, health.age_ms, health.clocks) == (False, None, None, "unknown")


@pytest.mark.parametrize(("declared", "alive_s", "dead_s"), [(None, 0.9, 1.1), (50.0, 0.9, 1.1), (2.0, 4.9, 5.1)])
def test_ten_periods_of_silence_are_death(
    reading: Reading, declared: float | None, alive_s: float, dead_s: float
) -> None:
    """At least a second."""
    reading.info(fps=declared)
    reading.frames(2, 10)
    last = reading.now
    reading.now = last + round(alive_s * S)
    assert reading.record.snapshot("connected").alive
    reading.now = last + round(dead_s * S)
    assert not reading.record.snapshot("connected").alive
    reading.frames(1, 10)
    assert reading.record.snapshot("connected").alive


def test_a_frame_that_waited_is_no_sign_of_life(reading: Reading) -> None:
    """It was sent long before the reader looked."""
    reading.frames(2, 10)
    reading.record.received(header(reading.now, 2, 7), reading.now)
    reading.now += 3 * S
    reading.record.received(header(reading.now - 3 * S, 3, 7), reading.now - 3 * S)
    health = reading.record.snapshot("connected")
    assert health.age_ms == 3005
    assert not health.alive


def test_gaps_and_restarts(reading: Reading) -> None:
    """A new publisher counts from anywhere: no gap; a camera that begins again neither."""
    reading.frames(3, 10, step=4)
    assert reading.record.snapshot("connected").gaps == 6
    reading.frames(2, 10, first=1000, server_id=8)
    reading.frames(1, 10, first=0, server_id=8)
    health = reading.record.snapshot("connected")
    assert (health.gaps, health.restarts, health.received) == (6, 1, 6)


def test_the_rate_is_the_publishers_where_frames_may_be_overtaken(reading: Reading) -> None:
    """From its status, while that is fresh; its rate is not trusted to be a number."""
    reading.frames(5, 5)
    assert reading.record.snapshot("connected").rate_ok is None
    for declared, sent, verdict in ((10.0, 9.1, True), (10.0, 8.9, False), (10.0, "fast", None), (None, 9.0, None)):
        reading.info(fps=declared)
        reading.status(fps=sent)
        assert reading.record.snapshot("connected").rate_ok is verdict
    reading.info(fps=10.0)
    reading.status(fps=10.0)
    reading.now += 4 * S
    assert reading.record.snapshot("connected").rate_ok is False, "nothing came: dead"
    reading.frames(1, 10)
    assert reading.record.snapshot("connected").rate_ok is None, "the status is from before"


@pytest.mark.parametrize(("fps", "verdict"), [(10, True), (9.2, True), (8.5, False), (1, False)])
def test_the_rate_is_counted_where_every_frame_comes(fps: float, verdict: bool) -> None:
    """Not in the first two seconds; and a pause counts."""
    reading = Reading(every=True)
    reading.info(fps=10.0)
    reading.frames(1, fps)
    assert reading.record.snapshot("connected").rate_ok is None
    reading.frames(60, fps)
    assert reading.record.snapshot("connected").rate_ok is verdict
    reading.now += round(0.9 * S)
    assert reading.record.snapshot("connected").rate_ok is False


def test_a_slow_stream_is_judged_over_ten_periods() -> None:
    """One frame in four seconds, as declared."""
    reading = Reading(every=True)
    reading.info(fps=0.25)
    reading.frames(12, 0.25)
    assert reading.record.snapshot("connected").rate_ok is True
    reading.frames(12, 0.2)
    assert reading.record.snapshot("connected").rate_ok is False


@pytest.fixture
def sending() -> Iterator[Sending]:
    with Sending() as sending:
        yield sending


@pytest.mark.slow
def test_health_over_the_wire(sending: Sending) -> None:
    """The JSON topics are read on access, and access to the health takes no frame away."""
    with Subscriber(sending.endpoint, "front") as reader:
        sending.wait_for("depth/front", "info/front", "status/front")
        sending.tell("info/front", {"fps": 10.0, "kind": "metric"})
        sending.tell("info/front2", {"fps": 99.0})
        sending.tell("status/front", {"fps": 10.0, "state": "LIVE"})
        sending.send(0)
        sending.send(1)
        _until(lambda: reader.health.received >= 1 and bool(reader.health.status))
        health = reader.health
        assert (health.alive, health.rate_ok, health.link) == (True, True, "connected")
        assert (health.info["kind"], health.status["state"]) == ("metric", "LIVE")
        assert health.damaged == 0
        assert reader.read(LONG_S).header.seq in (0, 1)
        _until(lambda: not reader.health.alive)
        assert reader.health.rate_ok is False


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not done():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)
