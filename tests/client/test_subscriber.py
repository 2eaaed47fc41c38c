"""The robot's reader over real sockets."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stream.client.subscriber import ReaderClosed, Subscriber
from stream.errors import StaleFrame, UsageError
from tests.client.sending import Sending

LONG_S = 20.0
"""For what happens at once unless the machine stands still."""
LONG_MS = 1000 * LONG_S


@pytest.fixture
def sending() -> Iterator[Sending]:
    with Sending() as sending:
        yield sending


def test_each_frame_is_read_in_order(sending: Sending) -> None:
    """Without CONFLATE nothing is overtaken, and a stream whose name begins alike is not heard."""
    with Subscriber(sending.endpoint, "front", latest=False) as reader:
        sending.wait_for("depth/front")
        for seq in range(3):
            sending.send(seq, stream="front2")
            sending.send(seq)
        read = [reader.read(LONG_S) for _ in range(3)]
        with pytest.raises(StaleFrame, match=r"no frame in 0\.05 s; the newest is \d+ ms old"):
            reader.read(0.05)
    assert [(message.header.topic, message.header.seq) for message in read] == [("depth/front", n) for n in range(3)]
    assert read[2].depth().tolist() == np.full((6, 8), 3.0).tolist()


def test_a_slow_reader_gets_the_newest_frame(sending: Sending) -> None:
    """Ninety-nine were overtaken, and are counted as gaps; in a second call the same frame is still the newest."""
    with Subscriber(sending.endpoint, "front") as reader:
        sending.wait_for("depth/front")
        for seq in range(100):
            sending.send(seq)
        message = reader.read_latest(LONG_MS)
        first = message.header.seq
        while message.header.seq < 99:
            message = reader.read(LONG_S)
        assert reader.read_latest(LONG_MS) is message
        with pytest.raises(StaleFrame):
            reader.read(0.0)
        health = reader.health
    assert health.received < 100
    assert first + health.received + health.gaps == 100


def test_the_reader_gives_no_frame_that_is_too_old(sending: Sending) -> None:
    """It waits for a fresh one for max_age_ms, and then the error states what is known."""
    with Subscriber(sending.endpoint, "front") as reader:
        sending.wait_for("depth/front", "status/front")
        sending.tell(
            "status/front", {"state": "OFFLINE", "reason": "the camera is waiting: rtsp://a:secret@h/ \x1b[31m"}
        )
        sending.send(1, age_s=2 * LONG_S)
        _until(lambda: reader.health.received and reader.health.status)
        began = time.monotonic()
        with pytest.raises(StaleFrame) as stale:
            reader.read_latest(200)
        assert time.monotonic() - began >= 0.2
        later = threading.Timer(0.1, sending.send, [2])
        later.start()
        message = reader.read_latest(LONG_MS)
        later.join()
        assert message.header.seq == 2
        assert reader.age_ms(message) < LONG_MS
    text = str(stale.value)
    assert text.startswith(f"depth/front at {sending.endpoint}: no frame of at most 200 ms; the newest is 4")
    assert text.endswith("last status OFFLINE: the camera is waiting: rtsp://a:***@h/ [31m")


def test_the_wait_for_a_fresh_frame_is_bounded(sending: Sending) -> None:
    """Old frames that keep coming do not keep a robot waiting."""
    stop = threading.Event()

    def send_old() -> None:
        seq = 0
        while not stop.wait(0.01):
            sending.send(seq := seq + 1, age_s=5.0)

    with Subscriber(sending.endpoint, "front") as reader:
        sending.wait_for("depth/front")
        thread = threading.Thread(target=send_old)
        thread.start()
        began = time.monotonic()
        with pytest.raises(StaleFrame):
            reader.read_latest(300)
        took_s = time.monotonic() - began
        stop.set()
        thread.join()
    assert 0.3 <= took_s < LONG_S


def test_a_reader_of_each_frame_may_ask_for_the_newest(sending: Sending) -> None:
    """Waiting frames before it are skipped and counted, also those that were dropped for lack of room."""
    with Subscriber(sending.endpoint, "front", latest=False) as reader:
        sending.wait_for("depth/front")
        sending.send(0, age_s=6 * LONG_S)  # too old for read_latest, which may give a frame once more
        assert reader.read(LONG_S).header.seq == 0
        for seq in range(1, 50):
            sending.send(seq, age_s=6 * LONG_S)
        sending.send(50)
        assert reader.read_latest(LONG_MS).header.seq == 50
        sending.send(51)
        assert reader.read(LONG_S).header.seq == 51
        health = reader.health
    assert health.received + health.gaps == 52


def test_an_iteration_ends_when_another_thread_closes(sending: Sending) -> None:
    """It sits in a wait at that moment; afterwards the reader says that it is closed."""
    reader = Subscriber(sending.endpoint, "front")
    sending.wait_for("depth/front")
    seqs: list[int] = []
    thread = threading.Thread(target=lambda: seqs.extend(message.header.seq for message in reader))
    thread.start()
    while not seqs and thread.is_alive():
        sending.send(5)
        time.sleep(0.01)
    began = time.monotonic()
    reader.close()
    thread.join(LONG_S)
    assert not thread.is_alive()
    assert time.monotonic() - began < LONG_S
    assert set(seqs) == {5}
    reader.close()
    with pytest.raises(ReaderClosed, match="this reader was closed"):
        reader.read_latest(100)
    assert list(reader) == []
    sending.wait_for_end("depth/front")


def test_a_loop_may_close_its_own_reader(sending: Sending) -> None:
    """The with block around it ends as well."""
    with Subscriber(sending.endpoint, "front") as reader:
        sending.wait_for("depth/front")
        sending.send(1)
        for message in reader:
            assert message.header.seq == 1
            reader.close()


def test_a_signal_handler_may_close(sending: Sending) -> None:
    """The read that it interrupts ends, in the same thread."""
    reader = Subscriber(sending.endpoint, "front")
    before = signal.signal(signal.SIGUSR1, lambda *_: reader.close())
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGUSR1])
    timer.start()
    with pytest.raises(ReaderClosed):
        reader.read(LONG_S)
    timer.join()
    signal.signal(signal.SIGUSR1, before)


def test_two_threads_cannot_read_at_once(sending: Sending) -> None:
    """ZeroMQ's sockets would crash."""
    with Subscriber(sending.endpoint, "front") as reader:
        thread = threading.Thread(target=lambda: list(reader))
        thread.start()
        _until(reader._in_use.locked)
        with pytest.raises(UsageError, match="two threads"):
            _ = reader.health
        reader.close()
        thread.join(LONG_S)


def test_what_cannot_be_read_is_left_out_and_counted(sending: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """One line for each kind of damage, however often it comes."""
    with Subscriber(sending.endpoint, "front", latest=False) as reader:
        sending.wait_for("depth/front", "info/front")
        with caplog.at_level(logging.WARNING, "stream.client"):
            for number in (2, 4, 6):
                sending.send_raw(b"depth/front\0" + b"x" * (400 + number))
                sending.send_raw(b"info/front\0" + b"\0" * 53 + b"{")
                _until(lambda number=number: reader.health.damaged == number)
            sending.send(1)
            assert reader.read(LONG_S).header.seq == 1
    assert len(caplog.records) == 2


@pytest.mark.slow
def test_a_message_above_the_limit_does_not_end_the_reading(sending: Sending) -> None:
    """ZeroMQ drops such a connection for good; the reader makes a new one."""
    with Subscriber(sending.endpoint, "front", max_bytes=1000) as reader:
        sending.wait_for("depth/front")
        sending.send_raw(b"depth/front\0" + b"x" * 2000)
        sending.wait_for_end("depth/front")
        thread = threading.Thread(target=_send_on_subscription, args=(sending, 4))
        thread.start()
        assert reader.read(2 * LONG_S).header.seq == 4
        thread.join()


def _send_on_subscription(sending: Sending, seq: int) -> None:
    sending.wait_for("depth/front", seconds=2 * LONG_S)
    sending.send(seq)


@pytest.mark.slow
def test_a_publisher_that_is_started_again_is_read_again(tmp_path: Path) -> None:
    """Another process at the same address; its messages are accepted at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Subscriber(f"tcp://127.0.0.1:{port}", "front") as reader:
        first = _start(port, server_id=1)
        assert reader.read(3 * LONG_S).header.server_id == 1
        first.kill()
        first.wait()
        _until(lambda: reader.health.link == "connecting")
        with pytest.raises(StaleFrame, match=r"no frame of at most 1 ms; the newest is \d+ ms old; not connected"):
            reader.read_latest(1)
        second = _start(port, server_id=2)
        assert reader.read(3 * LONG_S).header.server_id == 2
        assert reader.health.restarts == 1
        second.kill()
        second.wait()


def _start(port: int, server_id: int) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.client.sending", str(port), str(server_id), "50"]
    return subprocess.Popen(command, cwd=root)


@pytest.mark.slow
def test_it_finds_a_publisher_that_was_away_for_long(sending: Sending) -> None:
    """So long that the pauses between ZeroMQ's tries have become as long as they get."""
    endpoint = sending.endpoint
    with Subscriber(endpoint, "front") as reader:
        sending.wait_for("depth/front")
        sending.close()
        with pytest.raises(StaleFrame):
            reader.read(4.0)
        with Sending(endpoint, server_id=8) as back:
            thread = threading.Thread(target=_send_on_subscription, args=(back, 0))
            thread.start()
            assert reader.read(2 * LONG_S).header.server_id == 8
            thread.join()


@pytest.mark.parametrize(
    "endpoint",
    ["", "camera", "tcp://*:5560", "tcp://h", "tcp://h:0", "tcp://h:99999", "udp://h:5", "ipc://", "tcp://a:b@h"],
)
def test_an_endpoint_that_is_none_is_one_line(endpoint: str) -> None:
    """Nothing stays open."""
    with pytest.raises(UsageError, match=r'^cannot connect to ".*": .*as in tcp://127\.0\.0\.1:5560') as wrong:
        Subscriber(endpoint, "front")
    assert "b@" not in str(wrong.value)


def test_a_path_that_is_too_long_and_a_name_that_is_none() -> None:
    """ZeroMQ's own limits, and the format's."""
    with pytest.raises(UsageError, match="File name too long"):
        Subscriber("ipc:///" + "x" * 200, "front")
    with pytest.raises(UsageError, match="cannot be the name of a stream"):
        Subscriber("ipc:///tmp/x", "f" * 80)
    with Subscriber("ipc:///tmp/x", "front") as reader, pytest.raises(UsageError, match="max_age_ms = nan"):
        reader.read_latest(float("nan"))


@pytest.mark.parametrize(("listening", "host"), [("127.0.0.1", "localhost"), ("[::1]", "[::1]"), ("", "")])
def test_other_ways_in(listening: str, host: str, tmp_path: Path) -> None:
    """A name instead of a number, IPv6, a socket in the file system."""
    if host == "[::1]" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    with Sending(f"tcp://{listening}:*" if host else f"ipc://{tmp_path}/depth") as sending:
        port = sending.endpoint.rpartition(":")[2]
        with Subscriber(f"tcp://{host}:{port}" if host else sending.endpoint, "front") as reader:
            sending.wait_for("depth/front")
            sending.send(1)
            assert reader.read(LONG_S).header.seq == 1


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 1)) == errno.ECONNREFUSED


def _until(done: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not done():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("error_s", [-3600.0, 0.0, 0.3])
def test_a_robot_whose_clock_is_wrong_still_reads(sending: Sending, error_s: float) -> None:
    """An hour behind: fresh frames are fresh, old ones old. Ahead: older than they are."""
    with Subscriber(sending.endpoint, "front", unix_ns=lambda: time.time_ns() + round(error_s * 1e9)) as reader:
        sending.wait_for("depth/front")
        for seq in range(3):
            sending.send(seq)
            age_ms = reader.age_ms(reader.read(LONG_S))
        assert 1000 * max(0.0, error_s) <= age_ms < LONG_MS
        assert reader.health.clocks == ("behind" if error_s < 0 else "same")
        reader.read_latest(LONG_MS)
        sending.send(3, age_s=2 * LONG_S)
        reader.read(LONG_S)
        with pytest.raises(StaleFrame, match=r"the newest is [45]\d{4} ms old"):
            reader.read_latest(100)


def test_our_clock_is_set_while_frames_come(sending: Sending) -> None:
    """Back by an hour: no frame becomes younger by it, and the next ones are read."""
    error_ns = [0]
    with Subscriber(sending.endpoint, "front", unix_ns=lambda: time.time_ns() + error_ns[0]) as reader:
        sending.wait_for("depth/front")
        for seq in range(3):
            sending.send(seq, age_s=5.0)
            message = reader.read(LONG_S)
        error_ns[0] = -3600 * 10**9
        assert reader.age_ms(message) >= 5000
        sending.send(3)
        assert reader.read(LONG_S).header.seq == 3
        assert reader.read_latest(LONG_MS).header.seq == 3
        assert reader.health.clocks == "stepped"
