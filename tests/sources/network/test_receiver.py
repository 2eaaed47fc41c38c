"""Receiver: reading never waits for decoding, the queue is bounded in time, and a growing delay ends the connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from time import monotonic_ns

import pytest

from stream.core.clock import NS_PER_S
from stream.errors import SourceBehind, SourceError
from stream.frames import Size
from stream.sources.network import receiver as module
from stream.sources.network.access_unit import AccessUnit, CameraReport, TimeLine
from stream.sources.network.receiver import Received, Receiver
from stream.sources.network.url import CameraUrl

URL = CameraUrl("rtsp://admin:s3cret@camera/main")
LONG_S = 20.0
"""Time-out of a wait that ends much sooner, also on a busy machine."""


class ScriptedReader:
    """Gives what the test puts in; None ends the stream, an error breaks it."""

    codec, extradata, size, stated_fps = "h264", b"", Size(240, 320), 25.0

    def __init__(self, time_line: TimeLine = "rtp", *, is_recording: bool = False) -> None:
        self.time_line: TimeLine = time_line
        self.is_recording = is_recording
        self.given: SimpleQueue[AccessUnit | CameraReport | Exception | None] = SimpleQueue()
        self.closed_by = ""

    def items(self) -> Iterator[AccessUnit | CameraReport]:
        while (item := self.given.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def interrupt(self) -> None:
        self.given.put(None)

    def close(self) -> None:
        self.closed_by = threading.current_thread().name


def unit(age_s: float = 0.0, *, key: bool = False, media_s: float | None = None, size: int = 10) -> AccessUnit:
    at_ns = monotonic_ns() - round(age_s * NS_PER_S)
    return AccessUnit(bytes(size), key, at_ns, at_ns, media_s)


class Rig:
    """A receiver over a scripted reader."""

    def __init__(self, reader: ScriptedReader) -> None:
        self.reader, self.stopping = reader, threading.Event()
        self.receiver = Receiver(reader, URL, "door", 1.0)

    def __enter__(self) -> Rig:
        self.receiver.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.receiver.close()

    def give(self, *items: AccessUnit | Exception | None) -> None:
        for item in items:
            self.reader.given.put(item)

    def next(self) -> Received | None:
        return self.receiver.next(LONG_S, self.stopping)

    def wait_for_all(self) -> None:
        """Wait until the receiver has taken everything that was given."""
        pause = threading.Event()
        while not self.reader.given.empty():
            pause.wait(0.002)
        self.give(SourceError("over"))
        self.receiver._thread.join(LONG_S)

    def rest(self) -> list[Received]:
        """What is left in the queue after ``wait_for_all``."""
        left: list[Received] = []
        with pytest.raises(SourceError, match="over"):
            left.extend(iter(self.next, None))
        return left


def test_units_come_in_order_and_the_reading_thread_closes() -> None:
    """Closing under a reader crashes FFmpeg."""
    units = [unit(key=index == 0, media_s=index / 25) for index in range(5)]
    reader = ScriptedReader()
    with Rig(reader) as rig:
        rig.give(*units, None)
        assert [received.unit for received in iter(rig.next, None)] == units
    assert reader.closed_by == "receive.door"


def test_an_error_comes_after_what_arrived_before_it() -> None:
    with Rig(ScriptedReader()) as rig:
        rig.give(unit(key=True), SourceError("the connection broke"))
        assert rig.next() is not None
        with pytest.raises(SourceError, match="the connection broke"):
            rig.next()


def test_silence_is_a_time_out_and_stopping_is_the_end() -> None:
    with Rig(ScriptedReader()) as rig:
        with pytest.raises(TimeoutError):
            rig.receiver.next(0.01, rig.stopping)
        rig.stopping.set()
        assert rig.next() is None


def test_a_connection_that_is_never_read_is_closed() -> None:
    reader = ScriptedReader()
    Receiver(reader, URL, "door", 1.0).close()
    assert reader.closed_by == threading.current_thread().name


def test_a_late_decoder_resumes_at_the_newest_key_frame() -> None:
    """Everything before it is skipped and counted, also what was skipped earlier."""
    with Rig(ScriptedReader("none")) as rig:
        rig.give(unit(3.0, key=True), *(unit(3.0 - index / 25) for index in range(10)))
        rig.give(unit(2.0, key=True), *(unit(2.0 - index / 25) for index in range(10)))
        rig.give(unit(0.0, key=True), unit(0.0))
        rig.wait_for_all()
        left = rig.rest()
    assert [(received.unit.keyframe, received.skipped) for received in left] == [(True, 22), (False, 0)]


def test_a_decoder_in_time_skips_nothing() -> None:
    """Several key frames in the queue are no reason, as long as nothing in it is old."""
    with Rig(ScriptedReader("none")) as rig:
        rig.give(*(unit(key=True) for _ in range(5)))
        rig.wait_for_all()
        assert [received.skipped for received in rig.rest()] == [0] * 5


def test_without_key_frames_the_queue_is_still_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is emptied, and what cannot be decoded without the rest is skipped up to the next key frame."""
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with Rig(ScriptedReader("none")) as rig:
        rig.give(unit(key=True, size=400), unit(size=400), unit(size=400), unit(), unit(key=True), unit())
        rig.wait_for_all()
        assert [(received.unit.keyframe, received.skipped) for received in rig.rest()] == [(True, 4), (False, 0)]


def test_a_recording_is_read_no_faster_than_it_is_shown() -> None:
    """It has no pace of its own, and every image of it counts."""
    with Rig(ScriptedReader(is_recording=True)) as rig:
        rig.give(*(unit(100.0, key=True) for _ in range(50)), None)
        assert len(list(iter(rig.next, None))) == 50


@pytest.mark.parametrize("is_read_in_time", [True, False])
def test_images_that_arrive_later_and_later_end_the_connection(
    monkeypatch: pytest.MonkeyPatch, is_read_in_time: bool
) -> None:
    """After a second of images that were too old on arrival; the message tells a slow link from a stopped process."""
    if is_read_in_time:
        monkeypatch.setattr(module, "monotonic_ns", lambda: 0)
    start_ns = monotonic_ns() - 60 * NS_PER_S
    with Rig(ScriptedReader()) as rig:
        for index in range(60 * 25):
            arrived_ns = start_ns + round(index / 25 * 1.1 * NS_PER_S)
            rig.give(AccessUnit(bytes(10), index % 25 == 0, arrived_ns, arrived_ns, index / 25))
        with pytest.raises(SourceBehind) as raised:
            list(iter(rig.next, None))
    assert ("the link or a proxy is slower" if is_read_in_time else "this process did not run") in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_one_late_burst_is_no_reason_to_connect_again() -> None:
    """A link that stood still for 3 s and recovers keeps its connection."""
    start_ns = monotonic_ns() - 60 * NS_PER_S
    with Rig(ScriptedReader()) as rig:
        for index in range(20 * 25):
            late_s = max(0.0, 3.0 - (index - 250) / 25 / 0.2) if index >= 250 else 0.0
            arrived_ns = start_ns + round((index / 25 + late_s) * NS_PER_S)
            rig.give(AccessUnit(bytes(10), index % 25 == 0, arrived_ns, arrived_ns, index / 25))
        rig.wait_for_all()
        rig.rest()


def test_a_machine_that_slept_connects_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited meanwhile looks younger than it is, because the monotonic clock stood still; none of it is shown."""
    slept = [0]
    monkeypatch.setattr(module, "slept_ns", lambda: slept[0])
    with Rig(ScriptedReader()) as rig:
        rig.give(unit(key=True, media_s=0.0), unit(media_s=0.04))
        assert rig.next() is not None
        slept[0] = 15 * NS_PER_S
        with pytest.raises(SourceBehind, match=r"slept for 15\.0 s"):
            rig.next()


def test_only_an_image_with_a_newer_one_behind_it_is_late() -> None:
    with Rig(ScriptedReader("none")) as rig:
        rig.give(unit(0.5, key=True), unit(0.0))
        rig.wait_for_all()
        first, second = rig.next(), rig.next()
        assert first is not None
        assert second is not None
        assert not rig.receiver.is_late(first, 0.1), "the queue is empty"
        rig.receiver._queue.append(second)
        assert rig.receiver.is_late(first, 0.1)
        assert not rig.receiver.is_late(second, 60.0)
