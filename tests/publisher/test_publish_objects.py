"""objects/<stream> over real sockets, and a publisher that two stages share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import numpy as np
import pytest
import zmq

from stream.core.clock import Stamp
from stream.errors import SinkError, WireError
from stream.frames import DepthMap
from stream.publisher.publisher import Publisher
from stream.settings import PublishSettings
from stream.wire.json_topics import parse_json
from stream.wire.message import parse, subscription
from tests.detections.interior import depth_map_of

ANY_PORT = PublishSettings(endpoints=("tcp://127.0.0.1:*",), max_age_ms=400)
NOW_NS = 10**15


class Clock:
    """The publisher's clock; only a test advances it."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def __call__(self) -> int:
        return self.now_ns


def until(holds: Callable[[], object]) -> None:
    end = monotonic() + 20
    while not holds():
        assert monotonic() < end, "it did not happen"
        threading.Event().wait(0.002)


def depth_map(seq: int = 0, age_s: float = 0.0) -> DepthMap:
    stamp = Stamp(NOW_NS - round(age_s * 1e9), 10**18)
    return depth_map_of(np.full((48, 64), 2, np.float32), seq=seq, stamp=stamp)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def publisher(clock: Clock) -> Iterator[Publisher]:
    with Publisher(ANY_PORT, clock) as publisher:
        yield publisher


@pytest.fixture
def read(publisher: Publisher) -> Iterator[Callable[[str], zmq.Socket[bytes]]]:
    """``read("objects/front")``: a reader that the publisher knows of."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())

        def make(topic: str) -> zmq.Socket[bytes]:
            socket = stack.enter_context(context.socket(zmq.SUB))
            socket.linger, socket.rcvtimeo = 0, 10_000
            socket.subscribe(subscription(topic))
            socket.connect(publisher.endpoints[0])
            until(lambda: publisher._subscriptions.want(topic.encode().ljust(64, b"\0")))
            return socket

        yield make


def test_objects_name_the_image_they_are_in(publisher: Publisher, read: Callable[[str], zmq.Socket[bytes]]) -> None:
    """Number, times and publisher as in a depth message."""
    socket = read("objects/front")
    assert publisher.send_objects(depth_map(7, age_s=0.1), lambda: {"objects": [{"label": "cup"}]})
    topic, facts = parse_json(socket.recv())
    assert topic == "objects/front"
    assert (facts["stream"], facts["seq"], facts["objects"]) == ("front", 7, [{"label": "cup"}])
    assert (facts["capture_ns"], facts["server_id"]) == (10**18, publisher.server_id)
    assert facts["publish_ns"] - facts["capture_ns"] == 100_000_000
    assert publisher.statistics()["objects"] == 1


def test_without_a_reader_nothing_is_computed(publisher: Publisher, read: Callable[[str], zmq.Socket[bytes]]) -> None:
    """The return value is the same as with a reader."""

    def facts() -> dict[str, Any]:
        raise AssertionError("nobody asked")

    read("depth/front")
    assert publisher.send_objects(depth_map(), facts)
    assert not publisher.send_objects(depth_map(age_s=0.5), facts)
    assert publisher.statistics()["objects too old"] == 1


def test_old_objects_are_never_sent(
    publisher: Publisher, clock: Clock, read: Callable[[str], zmq.Socket[bytes]]
) -> None:
    """Neither old depth, nor depth that became old while the facts were computed."""
    socket = read("objects/front")

    def slowly() -> dict[str, Any]:
        clock.now_ns += 200_000_000
        return {"objects": []}

    assert not publisher.send_objects(depth_map(1, age_s=0.41), lambda: {"objects": []})
    assert not publisher.send_objects(depth_map(2, age_s=0.3), slowly)
    assert publisher.send_objects(depth_map(3), lambda: {"objects": []}), "200 ms old"
    assert json.loads(socket.recv()[64:])["seq"] == 3
    assert publisher.statistics()["objects too old"] == 2


def test_what_json_cannot_say_is_an_error(publisher: Publisher, read: Callable[[str], zmq.Socket[bytes]]) -> None:
    read("objects/front")
    with pytest.raises(WireError, match="objects/front"):
        publisher.send_objects(depth_map(), lambda: {"distance_m": float("nan")})


def test_one_stage_makes_the_previews(publisher: Publisher, read: Callable[[str], zmq.Socket[bytes]]) -> None:
    """The other stage learns that its preview has no reader."""
    publisher.previews = "objects"
    socket = read("preview/front")
    assert publisher.wants_preview("front", "objects")
    assert not publisher.wants_preview("front")
    publisher.send_preview(np.zeros((48, 64, 3), np.uint8), depth_map(1))
    publisher.send_preview(np.full((48, 64, 3), 200, np.uint8), depth_map(2), "objects")
    message = parse(socket.recv())
    assert message.header.seq == 2
    assert abs(message.array().astype(int) - 200).max() < 5


def test_the_last_of_two_stages_closes_it() -> None:
    """The first one that is done takes nothing from the other; afterwards it can be opened again."""
    publisher = Publisher(ANY_PORT, Clock())
    for _ in range(2):
        with publisher:
            with publisher:
                assert publisher.send_depth(depth_map())
            assert publisher.send_depth(depth_map())
            assert publisher.send_objects(depth_map(), dict)
        with pytest.raises(SinkError, match="not open"):
            publisher.send_objects(depth_map(), dict)


def test_two_stages_may_open_and_close_it_at_the_same_time() -> None:
    """Threads that come and go: it is open for each of them while it is inside."""
    publisher = Publisher(ANY_PORT, Clock())
    failures: list[Exception] = []

    def stage() -> None:
        try:
            for _ in range(40):
                with publisher:
                    publisher.send_depth(depth_map())
        except Exception as error:  # noqa: BLE001  # told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=stage) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
