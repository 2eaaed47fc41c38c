"""Depth over real sockets: what readers get, what they never get, and what is skipped without a reader."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import zmq

from stream.core.clock import NS_PER_S, Deadline, Stamp
from stream.errors import SinkError, WireError
from stream.frames import DepthMap, Frame
from stream.publisher import announcements
from stream.publisher import socket as publisher_socket
from stream.publisher.publisher import Publisher
from stream.settings import PublishSettings
from stream.wire.codes import Encoding, WireKind
from stream.wire.json_topics import parse_json
from stream.wire.message import parse, subscription

PATIENCE_S = 20.0
NOW_NS = 10**15
"""By the publisher's clock, which stands still: how long a test takes makes nothing too old."""
ANY_PORT = ("tcp://127.0.0.1:*",)
MakeReader = Callable[..., zmq.Socket[bytes]]


@pytest.fixture(scope="module", autouse=True)
def pyzmq_has_its_thread() -> None:
    """pyzmq starts one for the whole process when memory is lent for the first time."""
    zmq.Frame(bytes(1), copy=False, track=True)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with open_publisher(checksum=True) as publisher:
        yield publisher


def open_publisher(**settings: Any) -> Publisher:
    """To be opened by ``with``; depth may be half a second old."""
    return Publisher(PublishSettings(endpoints=ANY_PORT, max_age_ms=500, **settings), now_ns=lambda: NOW_NS)


@pytest.fixture
def make_reader() -> Iterator[MakeReader]:
    """``make_reader(publisher, "depth/cam0", hwm=1)``: subscribed, and known to the publisher if it reads depth."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        context.linger = 0

        def make(publisher: Publisher, *topics: str, hwm: int = 1000) -> zmq.Socket[bytes]:
            socket = stack.enter_context(context.socket(zmq.SUB))
            socket.rcvhwm, socket.rcvbuf = hwm, 64 * 1024
            readers = publisher.statistics()["readers"] + sum(topic.startswith("depth/") for topic in topics)
            for topic in topics:
                socket.subscribe(subscription(topic) if topic else b"")
            socket.connect(publisher.endpoints[0])
            until(lambda: publisher.statistics()["readers"] >= readers)
            return socket

        yield make


def depth_map(seq: int = 0, camera: str = "cam0", *, age_s: float = 0.0, unix_ns: int = 10**18) -> DepthMap:
    """640x480 metres, all of them ``seq``."""
    stamp = Stamp(NOW_NS - round(age_s * 1e9), unix_ns)
    frame = Frame(np.full((480, 640, 3), seq % 256, np.uint8), camera, seq, stamp)
    return DepthMap(np.full((480, 640), seq, np.float32), "metric", frame, "tiny")


def received(socket: zmq.Socket[bytes]) -> bytes:
    assert socket.poll(1000 * PATIENCE_S), "nothing came"
    return socket.recv()


def until(condition: Callable[[], bool]) -> None:
    deadline = Deadline.after(PATIENCE_S)
    while not condition():
        assert not deadline.passed, "it did not happen"
        threading.Event().wait(0.002)


def test_a_reader_gets_the_depth_with_all_that_belongs_to_it(publisher: Publisher, make_reader: MakeReader) -> None:
    """Number, kind, publisher, and the values."""
    socket = make_reader(publisher, "depth/cam0")
    assert publisher.send_depth(depth_map(7))
    message = parse(received(socket))
    assert (message.header.topic, message.header.seq, message.kind) == ("depth/cam0", 7, WireKind.METRIC)
    assert message.header.server_id == publisher.server_id
    assert (message.depth() == 7).all()
    assert publisher.statistics()["depth messages"] == 1
    assert publisher.statistics()["MB"] == pytest.approx((256 + 4 * 640 * 480) / 1e6)


@pytest.mark.slow
def test_settings_choose_encoding_and_compression(make_reader: MakeReader) -> None:
    """Millimetres, compressed: small, and the same metres."""
    with open_publisher(encoding="u16", compression="delta+zstd") as publisher:
        socket = make_reader(publisher, "depth/cam0")
        publisher.send_depth(depth_map(3))
        message = parse(received(socket))
    assert message.header.encoding == Encoding.U16
    assert message.header.payload_bytes < 10_000
    assert message.depth() == pytest.approx(3, abs=0.001)


@pytest.mark.parametrize("jump_s", [-86_400, 0, 86_400])
def test_the_age_is_monotonic_whatever_the_wall_clock_does(
    publisher: Publisher, make_reader: MakeReader, jump_s: int
) -> None:
    """Publish minus capture time is the age; a stepped clock makes nothing too old."""
    socket = make_reader(publisher, "depth/cam0")
    for seq, step_s in enumerate((0, jump_s)):
        assert publisher.send_depth(depth_map(seq, age_s=0.1, unix_ns=10**18 + step_s * 10**9))
        message = parse(received(socket))
        assert message.header.capture_ns == 10**18 + step_s * 10**9
        assert message.age_at_publish_s == 0.1


def test_old_depth_is_never_sent(publisher: Publisher, make_reader: MakeReader) -> None:
    """Dropped, counted, and the next fresh one arrives."""
    socket = make_reader(publisher, "depth/cam0")
    assert not publisher.send_depth(depth_map(1, age_s=0.51))
    assert publisher.send_depth(depth_map(2))
    assert parse(received(socket)).header.seq == 2
    assert publisher.statistics()["too old"] == 1


def test_depth_that_gets_too_old_while_it_is_packed_is_not_sent(make_reader: MakeReader) -> None:
    """Compression takes its time: the age counts when the message leaves."""
    now = 0

    def clock() -> int:
        nonlocal now
        now += 300_000_000
        return now

    with Publisher(PublishSettings(endpoints=ANY_PORT), now_ns=clock) as publisher:
        socket = make_reader(publisher, "depth/cam0")
        frame = Frame(np.zeros((2, 2, 3), np.uint8), "cam0", 0, Stamp(now, 0))
        assert not publisher.send_depth(DepthMap(np.ones((2, 2), np.float32), "metric", frame, "tiny"))
        assert publisher.statistics()["too old"] == 1
        assert not socket.poll(100)


def test_without_a_reader_nothing_is_packed(publisher: Publisher) -> None:
    """A map no message can hold proves it; fresh or old, the answer is the same as with a reader."""
    frame = Frame(np.zeros((1, 1, 3), np.uint8), "cam0", 0, Stamp(NOW_NS, 0))
    empty = DepthMap(np.zeros((0, 0), np.float32), "metric", frame, "tiny")
    assert publisher.send_depth(empty)
    assert not publisher.send_depth(depth_map(age_s=1))
    assert publisher.statistics()["depth messages"] == 0
    assert publisher.statistics()["too old"] == 1


def test_a_reader_of_one_stream_costs_nothing_for_another(publisher: Publisher, make_reader: MakeReader) -> None:
    """cam1 is neither packed for cam10's reader, nor sent to it."""
    socket = make_reader(publisher, "depth/cam10")
    publisher.send_depth(depth_map(1, "cam1"))
    publisher.send_depth(depth_map(2, "cam10"))
    assert parse(received(socket)).header.seq == 2
    assert publisher.statistics()["depth messages"] == 1


def test_previews_are_wanted_while_they_have_a_reader(publisher: Publisher, make_reader: MakeReader) -> None:
    """No frame needs to pass for the publisher to notice."""
    assert not publisher.wants_preview("cam0")
    socket = make_reader(publisher, "preview/cam0")
    until(lambda: publisher.wants_preview("cam0"))
    assert not publisher.wants_preview("cam1")
    publisher.send_preview(np.full((48, 64, 3), 200, np.uint8), depth_map(5))
    message = parse(received(socket))
    assert (message.header.topic, message.header.seq) == ("preview/cam0", 5)
    assert abs(message.array().astype(int) - 200).max() < 5
    socket.close()
    until(lambda: not publisher.wants_preview("cam0"))


def test_raw_depth_is_the_networks_own(publisher: Publisher, make_reader: MakeReader) -> None:
    """With and without stabilisation; made only for readers of raw/."""
    sent = depth_map(5)
    steadied = replace(sent, depth=sent.depth + 1, raw=sent.depth)
    publisher.send_raw(steadied)
    assert publisher.statistics().get("raw messages", 0) == 0
    raw = make_reader(publisher, "raw/cam0")

    def heard(what: DepthMap) -> bool:
        publisher.send_raw(what)
        return bool(raw.poll(50))

    for each in (steadied, sent):
        until(partial(heard, each))
        while raw.poll(50):
            message = parse(raw.recv())
            assert (message.header.topic, message.header.seq) == ("raw/cam0", 5)
            np.testing.assert_array_equal(message.depth(), sent.depth)
    depth = make_reader(publisher, "depth/cam0")
    publisher.send_depth(steadied)
    np.testing.assert_array_equal(parse(received(depth)).depth(), sent.depth + 1)


def test_a_new_reader_of_previews_is_noticed_at_once(make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher's thread wakes up for it; here it would not for an hour."""
    monkeypatch.setattr(announcements, "STATUS_EVERY_NS", 3600 * NS_PER_S)
    with open_publisher() as publisher:
        for number in range(5):
            make_reader(publisher, f"preview/cam{number}")
            until(lambda stream=f"cam{number}": publisher.wants_preview(stream))


def test_a_preview_without_a_reader_or_of_old_depth_is_not_made(publisher: Publisher, make_reader: MakeReader) -> None:
    """Both without an error."""
    image = np.zeros((48, 64, 3), np.uint8)
    publisher.send_preview(image, depth_map())
    make_reader(publisher, "preview/cam0")
    until(lambda: publisher.wants_preview("cam0"))
    publisher.send_preview(image, depth_map(age_s=1))
    statistics = publisher.statistics()
    assert (statistics["previews"], statistics["previews too old"]) == (0, 1)


def test_a_late_reader_gets_the_info_of_the_stream(publisher: Publisher, make_reader: MakeReader) -> None:
    """At once, and again when it changes; declaring the same again sends nothing."""
    publisher.declare("cam0", {"model": "tiny"})
    for _ in range(2):
        socket = make_reader(publisher, "info/cam0")
        expected = {"model": "tiny", "stream": "cam0", "server_id": publisher.server_id}
        assert parse_json(received(socket)) == ("info/cam0", expected)
        socket.close()
    socket = make_reader(publisher, "info/cam0")
    received(socket)
    publisher.declare("cam0", {"model": "tiny"})
    publisher.declare("cam0", {"model": "large"})
    assert parse_json(received(socket))[1]["model"] == "large"


@pytest.mark.slow
def test_info_and_status_of_twelve_streams_reach_one_reader(publisher: Publisher, make_reader: MakeReader) -> None:
    """Although no more than two messages wait for it."""
    streams = {f"cam{number}" for number in range(12)}
    for stream in streams:
        publisher.declare(stream, {})
    for family in ("info", "status"):
        socket = make_reader(publisher)
        socket.subscribe(f"{family}/")
        assert {parse_json(received(socket))[1]["stream"] for _ in streams} == streams


@pytest.mark.slow
def test_what_a_stalled_reader_gets_was_not_overwritten(
    make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras from two threads, one reader asleep, one awake; checksums are on, and each map holds its number."""
    monkeypatch.setattr(publisher_socket, "HEARTBEAT_MS", 0)  # with them ZeroMQ may abort us: stream/client/link.py
    with open_publisher(checksum=True) as publisher:
        _send_to_two(publisher, make_reader)


def _send_to_two(publisher: Publisher, make_reader: MakeReader) -> None:
    stalled = make_reader(publisher, "depth/left", "depth/right", hwm=1)
    awake = make_reader(publisher, "depth/left", "depth/right")
    threads = [
        threading.Thread(
            target=lambda c=camera: [publisher.send_depth(depth_map(n, c)) for n in range(60)], name=camera
        )
        for camera in ("left", "right")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for socket in (stalled, awake):
        seen = 0
        while socket.poll(300 if seen else 1000 * PATIENCE_S):
            message = parse(socket.recv())
            assert (message.array() == message.header.seq).all()
            seen += 1
        assert 0 < seen <= 120
    assert publisher.statistics()["depth messages"] == 120


@pytest.mark.parametrize("name", ["x" * 56, "a\0b"])
def test_a_name_that_fits_no_message_is_an_error(publisher: Publisher, name: str) -> None:
    """With a reader and without one."""
    with pytest.raises(WireError):
        publisher.send_depth(depth_map(camera=name))
    with pytest.raises(WireError):
        publisher.declare(name, {})


def test_every_start_has_another_server_id() -> None:
    """JSON readers keep all of its digits."""
    ids = {Publisher(PublishSettings()).server_id for _ in range(5)}
    assert len(ids) == 5
    assert all(0 < number < 2**53 for number in ids)


def test_a_publisher_that_is_not_open_sends_nothing(publisher: Publisher) -> None:
    """Neither before opening nor after closing; closing twice is closing once, and the statistics stay."""
    with pytest.raises(SinkError, match="not open"):
        Publisher(PublishSettings()).send_depth(depth_map())
    publisher.close()
    publisher.close()
    with pytest.raises(SinkError, match="not open"):
        publisher.send_depth(depth_map())
    assert "readers" not in publisher.statistics()


def test_it_can_be_closed_while_others_send(publisher: Publisher, make_reader: MakeReader) -> None:
    """Each sender gets an error, and nothing hangs."""
    make_reader(publisher, "depth/cam0")
    ended: list[str] = []

    def send() -> None:
        try:
            while True:
                publisher.send_depth(depth_map())
        except SinkError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=send, name=f"sender {n}") for n in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: publisher.statistics()["depth messages"] > 20)
    publisher.close()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert ended == ["the publisher is not open: nothing can be sent"] * 3
