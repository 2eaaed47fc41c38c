"""Readers that let much time pass between two calls."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from stream.client.link import Link
from stream.client.relay import QUEUED
from stream.client.subscriber import Subscriber
from stream.errors import SourceError
from stream.publisher.publisher import Publisher
from stream.settings import PublishSettings
from tests.client.sending import Sending, depth_map

ROOT = Path(__file__).parents[2]
LONG_S = 20.0
READERS = """
import sys, time
from stream.client.subscriber import Subscriber

endpoint = sys.argv[1]
with (
    Subscriber(endpoint, "front") as newest,
    Subscriber(endpoint, "front", latest=False) as paused,
    Subscriber(endpoint, "front", latest=False) as slow,
):
    for reader in (newest, paused, slow):
        reader.read(20)
    for _ in range(5):
        time.sleep(1.8)
        slow.read(20)
    for reader in (newest, paused, slow):
        before = reader.health.received
        while reader.health.received < before + 20:
            reader.read(20)
    assert newest.health.status["state"]
print("alive")
"""


@pytest.fixture(scope="module", autouse=True)
def pyzmq_has_its_thread() -> None:
    """pyzmq starts one for the whole process when memory is lent for the first time."""
    zmq.Frame(bytes(1), copy=False, track=True)


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The real publisher, with its heartbeats, sends depth/front at some 60 Hz."""
    stop, depth = threading.Event(), np.full((120, 160), 2.5, np.float32)

    def run() -> None:
        seq = 0
        while not stop.wait(1 / 60):
            publisher.send_depth(depth_map(seq := seq + 1, depth=depth, intrinsics=None))

    with Publisher(PublishSettings(endpoints=("tcp://127.0.0.1:*",), max_age_ms=60_000)) as publisher:
        thread = threading.Thread(target=run)
        thread.start()
        yield publisher.endpoints[0]
        stop.set()
        thread.join()


@pytest.mark.slow
def test_a_robot_may_do_something_else_for_nine_seconds(endpoint: str) -> None:
    """With a receive queue that can be full libzmq aborts its process (stream/client/link.py)."""
    command = [sys.executable, "-c", READERS, endpoint]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_the_newest_wait_for_a_reader_of_each_frame() -> None:
    """In their order; the messages that they replaced count as a gap."""
    with Sending() as sending, Subscriber(sending.endpoint, "front", latest=False) as reader:
        sending.wait_for("depth/front")
        for seq in range(5 * QUEUED):
            sending.send(seq)
        seqs = [0]
        while seqs[-1] != 5 * QUEUED - 1:
            seqs.append(reader.read(LONG_S).header.seq)
        health = reader.health
    assert seqs[1:] == sorted(set(seqs[1:]))
    assert health.received == len(seqs) - 1
    assert seqs[1] + health.received + health.gaps == 5 * QUEUED


def test_a_failure_of_the_thread_is_raised_to_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for the thread."""

    def broken(link: Link) -> None:
        raise OSError("no buffer space")

    monkeypatch.setattr(Link, "receive_all", broken)
    told = pytest.raises(SourceError, match="frames can no longer be received: no buffer space")
    with Subscriber("tcp://127.0.0.1:9", "front", latest=False) as reader, told:
        reader.read(LONG_S)


def test_a_reader_that_was_never_closed_does_not_keep_its_program() -> None:
    """Neither a reader of the newest frame nor one of each frame."""
    program = (
        "from stream.client.subscriber import Subscriber\n"
        "readers = [Subscriber('tcp://127.0.0.1:9', 'front', latest=latest) for latest in (True, False)]\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
