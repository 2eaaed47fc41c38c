"""The reader in front of the real publisher."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq

from stream.client.client_keys import ClientKeys
from stream.client.discovery import find_streams
from stream.client.point_cloud import points
from stream.client.subscriber import Subscriber
from stream.core.clock import Stamp
from stream.errors import StaleFrame
from stream.publisher.curve_keys import create
from stream.publisher.publisher import Publisher
from stream.settings import PublishSettings
from stream.wire.codes import WireKind
from tests.client.sending import depth_map

LONG_S = 20.0
FPS = 30.0
QUEUED_ON_THE_WAY = 10
"""More frames than wait in the publisher's queue and the kernel's buffers for a reader."""


@pytest.fixture(scope="module", autouse=True)
def pyzmq_has_its_thread() -> None:
    """pyzmq starts one for the whole process when memory is lent for the first time."""
    zmq.Frame(bytes(1), copy=False, track=True)


@contextmanager
def publishing(endpoint: str, fps: float = FPS, **settings: object) -> Iterator[Publisher]:
    """Depth of 640x480 pixels on depth/front, without a pause."""
    stop = threading.Event()
    depth = np.full((480, 640), 2.5, np.float32)

    def run(publisher: Publisher) -> None:
        publisher.declare("front", {"fps": fps, "kind": "metric"})
        seq = 0
        while not stop.wait(1 / fps):
            publisher.send_depth(depth_map(seq := seq + 1, depth=depth, intrinsics=None))

    with Publisher(PublishSettings(endpoints=(endpoint,), **settings)) as publisher:
        thread = threading.Thread(target=run, args=(publisher,))
        thread.start()
        try:
            yield publisher
        finally:
            stop.set()
            thread.join()


@pytest.mark.slow
def test_a_robot_that_looks_now_and_then_sees_fresh_depth() -> None:
    """After a pause the newest, not the next one; health, info and status come with it."""
    endpoint = "tcp://127.0.0.1:*"
    with (
        publishing(endpoint, max_age_ms=1000 * LONG_S) as publisher,
        Subscriber(publisher.endpoints[0], "front") as reader,
    ):
        for _ in range(5):
            before = reader.read_latest(1000 * LONG_S).header.seq
            sent = publisher.statistics()["depth messages"]
            _until(lambda sent=sent: publisher.statistics()["depth messages"] > sent + QUEUED_ON_THE_WAY)
            message = reader.read_latest(1000 * LONG_S)
            assert message.header.seq > before + 1
        _until(lambda: bool(reader.health.info and reader.health.status))
        health = reader.health
    assert message.kind == WireKind.METRIC
    assert float(message.depth()[100, 100]) == 2.5
    assert (health.restarts, health.damaged, health.link) == (0, 0, "connected")
    assert health.clocks == "same"
    assert health.gaps >= 5
    assert health.info["kind"] == "metric"
    assert health.status["state"] == "LIVE"


@pytest.mark.slow
def test_a_publisher_whose_camera_is_gone_says_so() -> None:
    """The reader's error has the publisher's words in it."""
    settings = PublishSettings(endpoints=("tcp://127.0.0.1:*",), max_age_ms=100)
    publisher = Publisher(settings)
    publisher.set_status_source(lambda stream: {"camera": "waiting", "trouble": "no camera at /dev/video0"})
    with publisher, Subscriber(publisher.endpoints[0], "front") as reader:
        publisher.declare("front", {})
        _until(lambda: bool(reader.health.status))
        now = Stamp.now()
        old = Stamp(now.mono_ns - 1_000_000_000, now.unix_ns - 1_000_000_000)
        assert not publisher.send_depth(depth_map(stamp=old))
        with pytest.raises(StaleFrame, match=r"OFFLINE: the camera is waiting: no camera at /dev/video0"):
            reader.read_latest(100)


@pytest.mark.slow
def test_keys_made_by_the_publishers_side_open_the_way(tmp_path: Path) -> None:
    """Keys of `depthstream keys new`; a late reader gets the info of the stream, too."""
    folder = tmp_path / "keys"
    create(folder, "robot")
    keys = ClientKeys.from_folder(folder)
    with publishing("tcp://127.0.0.1:*", keys=str(folder)) as publisher:
        endpoint = publisher.endpoints[0]
        with Subscriber(endpoint, "front", keys=keys) as reader:
            assert reader.read_latest(1000 * LONG_S).header.server_id == publisher.server_id
            _until(lambda: reader.health.info.get("fps") == FPS)
        assert find_streams(endpoint, keys=keys) == ["front"]
        with Subscriber(endpoint, "front") as stranger:
            _until(lambda: stranger.health.link == "handshake failed")
            with pytest.raises(StaleFrame, match="keys on one side only"):
                stranger.read(0.1)


@pytest.mark.slow
def test_a_reader_that_was_refused_comes_in_when_its_key_is_made(tmp_path: Path) -> None:
    """By itself: neither it nor the publisher is started again."""
    folder, elsewhere = tmp_path / "keys", tmp_path / "robot"
    create(folder, "robot")
    late = create(folder, "late").file
    elsewhere.mkdir()
    late.rename(elsewhere / late.name)
    keys = ClientKeys.load(folder / "server.key", late.with_suffix(".key_secret"))
    with (
        publishing("tcp://127.0.0.1:*", keys=str(folder)) as publisher,
        Subscriber(publisher.endpoints[0], "front", keys=keys) as reader,
    ):
        _until(lambda: reader.health.link == "refused")
        (elsewhere / late.name).rename(late)
        assert reader.read(2 * LONG_S).header.server_id == publisher.server_id


@pytest.mark.slow
def test_a_restarted_publisher_is_read_again() -> None:
    """At the same address, after a while; it is another one, and that is counted."""
    with publishing("tcp://127.0.0.1:*") as publisher:
        endpoint = publisher.endpoints[0]
        reader = Subscriber(endpoint, "front")
        reader.read(LONG_S)
    with reader:
        _until(lambda: reader.health.link == "connecting")
        time.sleep(3.0)  # so long that the pauses between ZeroMQ's tries have become as long as they get
        with publishing(endpoint) as publisher:
            while reader.read(2 * LONG_S).header.server_id != publisher.server_id:
                pass
        assert reader.health.restarts == 1


def test_points_from_what_is_published() -> None:
    """A calibrated camera's wall, 2 m away."""
    settings = PublishSettings(endpoints=("tcp://127.0.0.1:*",), encoding="u16", compression="zstd")
    with Publisher(settings) as publisher, Subscriber(publisher.endpoints[0], "front") as reader:
        _until(lambda: publisher.statistics()["readers"] == 1)
        publisher.send_depth(depth_map(1))
        cloud = points(reader.read(LONG_S))
    assert cloud.shape == (48, 3)
    assert cloud[:, 2] == pytest.approx(2.0)


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not done():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)
