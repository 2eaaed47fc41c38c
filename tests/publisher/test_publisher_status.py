"""The content and the timing of status/<stream>."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import zmq

from stream.core.clock import NS_PER_S, Deadline, Stamp
from stream.errors import SinkError
from stream.frames import DepthMap, Frame
from stream.publisher.accounting import MAX_RETIRED, RETIRED, RETIRED_S, SendCounters, StreamStatus
from stream.publisher.announcements import PAUSE_NS, InfoStatusQueue
from stream.publisher.publisher import Publisher
from stream.publisher.subscriptions import Subscriptions
from stream.settings import PublishSettings
from stream.wire.json_topics import parse_json

PATIENCE_S = 20.0
START_NS = 77 * NS_PER_S


@pytest.fixture
def publisher() -> Publisher:
    """A publisher that is not open."""
    return Publisher(PublishSettings(endpoints=("tcp://127.0.0.1:*",), max_age_ms=400))


@pytest.fixture
def reader() -> Iterator[zmq.Socket[bytes]]:
    """A reader of every status, not connected yet."""
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.subscribe(b"status/")
        yield sub


@pytest.fixture
def status() -> StreamStatus:
    """The status of a stream that began at START_NS and has a limit of 400 ms."""
    return StreamStatus("cam0", 9, 400.0, START_NS)


def depth_map(seq: int = 0) -> DepthMap:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), "cam0", seq, Stamp.now(), integrity="tainted")
    return DepthMap(np.ones((4, 4), np.float32), "metric", frame, "tiny")


def at(seconds: float) -> int:
    return START_NS + round(seconds * NS_PER_S)


def state(status: StreamStatus, seconds: float, known: Mapping[str, Any] | None = None) -> tuple[str, str]:
    facts = status.facts(known or {}, at(seconds))
    return facts["state"], facts["reason"]


def test_depth_that_comes_is_live_then_stale_then_offline(status: StreamStatus) -> None:
    """After max_age_ms, and after five seconds."""
    status.sent(depth_map(), 50.0, at(1))
    assert state(status, 1.4) == ("LIVE", "")
    assert state(status, 1.5) == ("STALE", "no depth for 0.5 s")
    assert state(status, 6.0)[0] == "STALE"
    assert state(status, 6.1) == ("OFFLINE", "no depth for 5.1 s")


def test_before_the_first_depth_it_is_not_live(status: StreamStatus) -> None:
    """The first depth has five seconds to come."""
    assert state(status, 0) == ("STALE", "no depth yet")
    assert state(status, 5.1) == ("OFFLINE", "no depth yet")


def test_depth_that_comes_too_old_is_the_reason(status: StreamStatus) -> None:
    """A machine that is too slow, say."""
    status.sent(depth_map(), 50.0, at(1))
    status.too_old(712.0)
    assert state(status, 2)[0] == "STALE"
    assert state(status, 2)[1] == "depth is 712 ms old when it is there; max_age_ms = 400"
    assert status.facts({}, at(2))["too_old"] == 1


def test_a_camera_that_is_not_there_is_offline_with_its_trouble(status: StreamStatus) -> None:
    """Even if its last image is young."""
    status.sent(depth_map(), 50.0, at(1))
    assert state(status, 1, {"camera": "live"})[0] == "LIVE"
    assert state(status, 1, {"camera": "waiting", "trouble": "refused"}) == (
        "OFFLINE",
        "the camera is waiting: refused",
    )


def test_the_rate_is_that_of_the_last_seconds(status: StreamStatus) -> None:
    """Twenty a second, and none any more five seconds later."""
    for number in range(100):
        status.sent(depth_map(number), 50.0, at(number / 20))
    assert status.facts({}, at(5))["fps"] == pytest.approx(20)
    assert status.facts({}, at(11))["fps"] == 0


def test_facts_of_the_pipeline_do_not_replace_those_of_the_publisher(status: StreamStatus) -> None:
    """The publisher's own values win."""
    facts = status.facts({"state": "fine", "dropped": 4}, at(0))
    assert (facts["state"], facts["dropped"]) == ("STALE", 4)


@pytest.mark.slow
def test_the_status_comes_again_and_again(reader: zmq.Socket[bytes]) -> None:
    """Including the pipeline's facts about this stream. The publisher's clock stands still."""
    sent = depth_map(41)
    now_ns = sent.frame.stamp.mono_ns + 50_000_000
    settings = PublishSettings(endpoints=("tcp://127.0.0.1:*",), max_age_ms=400)
    publisher = Publisher(settings, now_ns=lambda: now_ns)
    publisher.set_status_source(lambda stream: {"captured": 12, "about": stream})
    publisher.declare("cam0", {})
    with publisher:
        publisher.send_depth(sent)
        reader.connect(publisher.endpoints[0])
        topic, first = _next(reader)
        _, second = _next(reader)
    assert topic == "status/cam0"
    assert {"captured": 12, "about": "cam0", "seq": 41, "sent": 1, "too_old": 0}.items() <= first.items()
    assert {"integrity": "tainted", "max_age_ms": 400, "server_id": publisher.server_id}.items() <= first.items()
    assert first["age_ms"] == 50
    assert second["time_ns"] > first["time_ns"]


@pytest.mark.slow
def test_a_report_that_fails_is_not_lost(publisher: Publisher, reader: zmq.Socket[bytes]) -> None:
    """The next depth brings it up."""

    def broken(stream: str) -> Mapping[str, Any]:
        raise KeyError(stream)

    publisher.set_status_source(broken)
    publisher.declare("cam0", {})
    with publisher:
        reader.connect(publisher.endpoints[0])
        with pytest.raises(SinkError, match="cam0") as raised:
            _send_for(PATIENCE_S, publisher)
    assert isinstance(raised.value.__cause__, KeyError)


def test_slow_messages_leave_one_by_one() -> None:
    """With a pause after each pending message, and nothing twice."""
    readers = Subscriptions()
    queue = InfoStatusQueue(readers, START_NS)
    queue.declare("info/a", b"")
    assert not queue.has_pending, "it has no reader"
    readers.feed(b"\1")
    queue.new_reader(b"")
    queue.new_reader(b"info/")
    now = START_NS
    assert queue.next(["a", "b"], now) == "info/a"
    assert queue.next(["a", "b"], now) is None
    assert queue.wait_s(now) == PAUSE_NS / NS_PER_S
    assert queue.next(["a", "b"], now + PAUSE_NS) == "status/a"
    assert queue.next(["a", "b"], now + 2 * PAUSE_NS) == "status/b"
    assert queue.next(["a", "b"], now + 3 * PAUSE_NS) is None
    assert queue.wait_s(now) == 1.0


def test_after_a_long_sleep_there_is_one_status_not_many() -> None:
    """A laptop that was shut."""
    readers = Subscriptions()
    readers.feed(b"\1")
    queue = InfoStatusQueue(readers, START_NS)
    now = at(3600)
    assert queue.next(["a"], now) == "status/a"
    assert queue.next(["a"], now + PAUSE_NS) is None
    assert queue.wait_s(now) == 1.0


def test_a_stream_that_is_retired_is_reported_for_a_while_and_then_forgotten() -> None:
    """OFFLINE, with the reason; of many streams only the newest, so that memory is bounded."""
    counters = SendCounters(1, PublishSettings())
    for number in range(MAX_RETIRED + 5):
        counters.status(f"cam{number}", at(0))
        counters.retire(f"cam{number}", at(0))
    assert list(counters.streams) == [f"cam{number}" for number in range(5, MAX_RETIRED + 5)]
    facts = counters.status("cam5", at(1)).facts(RETIRED, at(1))
    assert (facts["state"], facts["camera"]) == ("OFFLINE", "removed")
    assert facts["reason"] == "the camera is removed: the publisher's settings name it no longer"
    counters.revive("cam5")
    assert counters.status("cam5", at(1)).facts({}, at(1))["reason"] == "no depth yet"
    counters.forget_retired(at(RETIRED_S - 1))
    assert counters.is_retired("cam6")
    counters.forget_retired(at(RETIRED_S + 1))
    assert list(counters.streams) == ["cam5"]


def test_the_info_of_a_retired_stream_is_not_sent_again() -> None:
    """A reader that comes later hears of no such stream."""
    subscriptions = Subscriptions()
    queue = InfoStatusQueue(subscriptions, START_NS)
    subscriptions.feed(b"\x01info/")
    queue.declare("info/cam0", b"text")
    queue.withdraw("info/cam0")
    queue.new_reader(b"info/")
    assert not queue.has_pending
    assert queue.info("info/cam0") is None


def _next(reader: zmq.Socket[bytes]) -> tuple[str, dict[str, Any]]:
    assert reader.poll(1000 * PATIENCE_S), "no status came"
    return parse_json(reader.recv())


def _send_for(seconds: float, publisher: Publisher) -> None:
    deadline = Deadline.after(seconds)
    while not deadline.passed:
        publisher.send_depth(depth_map())
