"""Boxes over real sockets, from detectors that come, go, are slow, and send anything."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import TypeVar

import numpy as np
import pytest
import zmq

from stream.client import link
from stream.core.clock import Stamp
from stream.detections.message import MAX_MESSAGE_BYTES, pack_boxes
from stream.detections.settings import BoxTopicSettings
from stream.detections.subscription import MAX_TRANSPORT_BYTES, BoxTopic
from stream.frames import Frame, Size
from stream.objects import Box

PATIENCE_S = 30.0
PROGRAM = Path(__file__).with_name("box_program.py")
BOX = Box(1, 2, 30, 40, "person", 0.5)
ABSENT = "ipc:///nowhere/at/all"
T = TypeVar("T")


def frame(camera: str = "front") -> Frame:
    return Frame(np.zeros((48, 64, 3), np.uint8), camera, 0, Stamp.now())


def until(holds: Callable[[], T], timeout_s: float = PATIENCE_S) -> T:
    """Wait until ``holds()`` is true, and return its value."""
    end = monotonic() + timeout_s
    while not (held := holds()):
        assert monotonic() < end, "it did not happen"
        threading.Event().wait(0.005)
    return held


@contextmanager
def detector(endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    """A publisher that notices when a subscriber has connected."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger, socket.sndhwm = 0, 100_000
        socket.bind(endpoint)
        yield socket


def topic(
    *endpoints: str, streams: tuple[str, ...] = ("front",), max_age_ms: float = 60_000, **how: object
) -> BoxTopic:
    settings = BoxTopicSettings(connect=endpoints, max_age_ms=max_age_ms)
    return BoxTopic(settings, streams, **how)  # type: ignore[arg-type]


def subscribed(socket: zmq.Socket[bytes], count: int = 1) -> None:
    for _ in range(count):
        assert socket.poll(1000 * PATIENCE_S)
        socket.recv()


def test_the_newest_set_of_each_stream(tmp_path: Path) -> None:
    """Boxes are scaled to the camera's images; an empty set replaces the last one; front is not front2."""
    endpoint = f"ipc://{tmp_path}/boxes"
    with detector(endpoint) as socket, topic(endpoint, streams=("front", "back")) as boxes:
        subscribed(socket, 2)
        socket.send(pack_boxes("front2", [BOX, BOX, BOX]))
        socket.send(pack_boxes("front", [BOX, BOX]))
        socket.send(pack_boxes("back", [BOX], Size(24, 32)))
        until(lambda: boxes.sets == 2)
        assert boxes(frame("front")) == (BOX, BOX)
        assert boxes(frame("back")) == [Box(2, 4, 60, 80, "person", 0.5)]
        assert boxes(frame("other")) == ()
        socket.send(pack_boxes("front", []))
        until(lambda: boxes.sets == 3)
        assert boxes(frame("front")) == ()


def test_streams_come_and_go(tmp_path: Path) -> None:
    """The detector sees the subscription of a new stream, and the end of a removed one's."""
    endpoint = f"ipc://{tmp_path}/boxes"
    with detector(endpoint) as socket, topic(endpoint, streams=("front",)) as boxes:
        subscribed(socket)
        boxes.add_stream("back")
        subscribed(socket)
        socket.send(pack_boxes("back", [BOX]))
        until(lambda: boxes.sets == 1)
        assert boxes(frame("back")) == (BOX,)
        boxes.remove_stream("back")
        assert boxes(frame("back")) == ()
        subscribed(socket)  # XPUB reports the end of the last subscription, too


def test_a_set_is_used_until_it_is_too_old(tmp_path: Path) -> None:
    """The age counts from the arrival, by the monotonic clock."""
    endpoint, later = f"ipc://{tmp_path}/boxes", [0]
    clock = lambda: monotonic_ns() + later[0]  # noqa: E731
    with detector(endpoint) as socket, topic(endpoint, max_age_ms=30_000, now_ns=clock) as boxes:
        subscribed(socket)
        socket.send(pack_boxes("front", [BOX]))
        until(lambda: boxes.sets)
        assert len(boxes(frame())) == 1
        later[0] = 31_000_000_000
        assert boxes(frame()) == ()


@pytest.mark.slow
def test_malformed_messages_are_counted_and_logged_once_a_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Good boxes before and after are taken; the log stays short."""
    endpoint = f"ipc://{tmp_path}/boxes"
    head = b"boxes/front".ljust(64, b"\0")
    bad = [head + text for text in (b"", b"{", b"[]", b'{"boxes": 3}', b"\xff", b"x" * MAX_MESSAGE_BYTES)] * 50
    with caplog.at_level(logging.WARNING), detector(endpoint) as socket, topic(endpoint) as boxes:
        subscribed(socket)
        socket.send(pack_boxes("front", [BOX]))
        until(lambda: boxes.sets == 1)
        start = monotonic()
        for number, message in enumerate(bad, 1):
            socket.send(message)
            until(lambda number=number: boxes.rejections.counts().get("malformed messages") == number)
        assert boxes(frame()) == (BOX,)
        socket.send(pack_boxes("front", [BOX, BOX]))
        until(lambda: boxes.sets == 2)
        seconds = monotonic() - start
    lines = [record.message for record in caplog.records]
    assert lines[0].startswith("a message was refused: ")
    assert len(lines) <= 2 + seconds


@pytest.mark.slow
def test_a_message_beyond_all_bounds_ends_the_connection_and_it_comes_back(tmp_path: Path) -> None:
    """ZeroMQ drops it before it takes the memory; the reader connects again."""
    endpoint = f"ipc://{tmp_path}/boxes"
    with detector(endpoint) as socket, topic(endpoint) as boxes:
        subscribed(socket)
        socket.send(b"boxes/front".ljust(MAX_TRANSPORT_BYTES + 64, b"\0"))
        subscribed(socket, 2)  # the end of the subscription, and a new one
        socket.send(pack_boxes("front", [BOX]))
        until(lambda: boxes.sets == 1)
        assert boxes(frame()) == (BOX,)


def test_a_flood_from_one_detector_does_not_keep_another_away(tmp_path: Path) -> None:
    """The set in use is one of the newest, not one that waited."""
    loud, quiet = f"ipc://{tmp_path}/loud", f"ipc://{tmp_path}/quiet"
    with detector(loud) as flood, detector(quiet) as socket, topic(loud, quiet, streams=("a", "b")) as boxes:
        subscribed(flood, 2)
        subscribed(socket, 2)
        flooding = threading.Event()

        def run() -> None:
            number = 0
            while not flooding.is_set():
                flood.send(pack_boxes("a", [Box(0, 0, 1 + number, 5)]))
                number += 1

        thread = threading.Thread(target=run)
        thread.start()
        try:
            until(lambda: boxes(frame("a")))
            socket.send(pack_boxes("b", [BOX]))
            until(lambda: boxes(frame("b")))
        finally:
            flooding.set()
            thread.join()


@pytest.mark.slow
def test_a_detector_in_another_process_comes_goes_and_comes_back(tmp_path: Path) -> None:
    """A program that knows nothing but pyzmq and JSON."""
    endpoint = f"ipc://{tmp_path}/boxes"
    texts = [json.dumps({"boxes": [{"box": [0, 0, side, side]}]}) for side in (5, 9)] + ['{"boxes": "none"}']

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(PROGRAM), endpoint, "front", "0.02", *texts])

    with topic(endpoint, max_age_ms=200) as boxes:
        for _ in range(2):
            program = start()
            try:
                assert until(lambda: boxes(frame()))[0].x1 in (5, 9)
                until(lambda: boxes.rejections.counts().get("malformed messages", 0) > 1)
            finally:
                program.kill()
                program.wait()
            until(lambda: not boxes(frame()))


def test_a_detector_that_is_not_there_costs_nothing() -> None:
    """Closing does not wait for it."""
    with topic("tcp://127.0.0.1:1", ABSENT) as boxes:
        assert boxes(frame()) == ()


def test_closing_wakes_the_thread(tmp_path: Path) -> None:
    """Fifty times, also right after opening."""
    for _ in range(50):
        with topic(f"ipc://{tmp_path}/boxes"):
            pass


def test_it_can_be_opened_again(tmp_path: Path) -> None:
    """The second time it receives as the first time."""
    endpoint = f"ipc://{tmp_path}/boxes"
    boxes = topic(endpoint)
    with detector(endpoint) as socket:
        for times in (1, 2):
            with boxes:
                subscribed(socket)
                socket.send(pack_boxes("front", [BOX] * times))
                until(lambda times=times: boxes.sets == times)
                assert boxes(frame()) == (BOX,) * times
            subscribed(socket)  # the end of the subscription


@pytest.mark.slow
def test_more_than_anybody_can_read_does_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the waiting messages never end, the connection is made anew; then the newest set is used."""
    monkeypatch.setattr(link, "MAX_WAITING", 50)
    endpoint = f"ipc://{tmp_path}/boxes"
    with detector(endpoint) as socket, topic(endpoint) as boxes:
        subscribed(socket)
        end = monotonic() + PATIENCE_S
        while not socket.poll(0):  # the subscription ends
            assert monotonic() < end, "it was never connected anew"
            for _ in range(1000):
                socket.send(pack_boxes("front", [BOX]))
        subscribed(socket, 2)
        while boxes(frame()) != (BOX, BOX):
            assert monotonic() < end, "the newest set does not come"
            socket.send(pack_boxes("front", [BOX, BOX]))
            while socket.poll(20):
                socket.recv()
