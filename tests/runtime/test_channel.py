"""The four policies, closing, and the account of every frame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream.frames import Frame
from stream.runtime.channel import Channel, ChannelClosed, Policy

FrameMaker = Callable[..., Frame]
POLICIES: tuple[Policy, ...] = ("block", "drop_oldest", "drop_newest", "latest")


def seqs(channel: Channel[Frame]) -> list[int]:
    channel.close()
    return [frame.seq for frame in channel]


@pytest.mark.parametrize("policy", POLICIES)
def test_items_come_out_in_order_when_there_is_room(policy: Policy, make_frame: FrameMaker) -> None:
    """Without pressure all policies are a queue."""
    channel: Channel[Frame] = Channel(3, policy)
    for seq, camera in enumerate("abc"):
        channel.put(make_frame(seq, camera))
    assert seqs(channel) == [0, 1, 2]


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [2, 3]), ("drop_newest", [0, 1]), ("latest", [3])])
def test_a_full_channel_keeps_what_its_policy_says(policy: Policy, kept: list[int], make_frame: FrameMaker) -> None:
    """Four frames of one camera into room for two (``latest`` holds one a camera)."""
    channel: Channel[Frame] = Channel(2, policy)
    for seq in range(4):
        channel.put(make_frame(seq))
    assert seqs(channel) == kept


@pytest.mark.parametrize(("policy", "accepted"), [("drop_oldest", 4), ("drop_newest", 2), ("latest", 4)])
def test_what_came_in_counts_as_accepted(policy: Policy, accepted: int, make_frame: FrameMaker) -> None:
    """An item that replaces another counts, a rejected one does not."""
    channel: Channel[Frame] = Channel(2, policy)
    for seq in range(4):
        channel.put(make_frame(seq))
    assert channel.stats().accepted == accepted


def test_block_waits_for_room(make_frame: FrameMaker) -> None:
    """The writer goes on as soon as the reader has taken one."""
    channel: Channel[Frame] = Channel(1)
    channel.put(make_frame(0))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(channel.put, make_frame(1))
        assert channel.get(2.0).seq == 0
        second.result(2.0)
    assert channel.get(2.0).seq == 1
    assert channel.stats().blocked.count == 2


def test_latest_keeps_a_cameras_turn(make_frame: FrameMaker) -> None:
    """A fast camera replaces its own waiting frame and does not push others back."""
    channel: Channel[Frame] = Channel(1, "latest")
    for seq, camera in ((0, "slow"), (1, "fast"), (2, "fast"), (3, "slow"), (4, "fast")):
        channel.put(make_frame(seq, camera))
    assert [(channel.get().camera, channel.get().camera)] == [("slow", "fast")]


def test_latest_serves_equal_cameras_equally(make_frame: FrameMaker) -> None:
    """Four cameras, a reader four times slower than them: each gets its turn."""
    channel: Channel[Frame] = Channel(1, "latest")
    served = []
    for seq in range(40):
        for camera in "abcd":
            channel.put(make_frame(seq, camera))
        served.append(channel.get().camera)
    assert {camera: served.count(camera) for camera in "abcd"} == dict.fromkeys("abcd", 10)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_frame_is_taken_or_dropped(policy: Policy, make_frame: FrameMaker) -> None:
    """put = taken + dropped, by camera, also for items that an abort drops."""
    channel: Channel[Frame] = Channel(50, policy)
    for seq in range(30):
        channel.put(make_frame(seq, "ab"[seq % 2]))
    channel.get()
    channel.abort()
    with pytest.raises(ChannelClosed):
        channel.put(make_frame(99, "a"))
    stats = channel.stats()
    for camera, count in (("a", 16), ("b", 15)):
        dropped = sum(n for (owner, _), n in stats.dropped.items() if owner == camera)
        assert stats.taken.get(camera, 0) + dropped == count


def test_get_times_out(make_frame: FrameMaker) -> None:
    """Nothing there is a TimeoutError; the end is a ChannelClosed."""
    channel: Channel[Frame] = Channel(1)
    with pytest.raises(TimeoutError, match="nothing arrived"):
        channel.get(0.0)
    channel.close()
    with pytest.raises(ChannelClosed):
        channel.get(0.0)


def test_the_last_producer_closes(make_frame: FrameMaker) -> None:
    """Two producers: the reader goes on until both are done."""
    channel: Channel[Frame] = Channel(4, producers=2)
    channel.put(make_frame(0))
    channel.close()
    channel.put(make_frame(1))
    assert seqs(channel) == [0, 1]


@pytest.mark.parametrize("wake", [Channel.close, Channel.abort])
def test_a_waiting_reader_is_woken_by_the_end(wake: Callable[[Channel[Frame]], None]) -> None:
    """Neither way of ending leaves a reader asleep."""
    channel: Channel[Frame] = Channel(1)
    reader = threading.Thread(target=list, args=(channel,))
    reader.start()
    wake(channel)
    reader.join(2.0)
    assert not reader.is_alive()


def test_an_abort_frees_a_blocked_writer(make_frame: FrameMaker) -> None:
    """A writer that waits for room gets ChannelClosed, and its frame is counted."""
    channel: Channel[Frame] = Channel(1)
    channel.put(make_frame(0))
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(channel.put, make_frame(1))
        while not channel.stats().blocked.max_s:
            threading.Event().wait(0.001)
        channel.abort()
        with pytest.raises(ChannelClosed):
            blocked.result(2.0)
    assert channel.stats().dropped == {("cam0", "stopped"): 2}


def test_a_batch_of_the_latest_holds_one_item_a_camera(make_frame: FrameMaker) -> None:
    """A camera's second frame goes into the next batch, although the batch is not full."""
    channel: Channel[Frame] = Channel(4, "latest")
    channel.put(make_frame(0, "left"))
    batches = channel.batches(3, 0.2)
    sender = threading.Timer(0.02, lambda: (channel.put(make_frame(1, "left")), channel.put(make_frame(0, "right"))))
    sender.start()
    assert [(frame.camera, frame.seq) for frame in next(batches)] == [("left", 0), ("right", 0)]
    sender.join()
    channel.close()
    assert [[(frame.camera, frame.seq) for frame in batch] for batch in batches] == [[("left", 1)]]
    assert channel.stats().taken == {"left": 2, "right": 1}


def test_batches_take_what_waits(make_frame: FrameMaker) -> None:
    """Greedy batches with no grace: at most ``max_items``, in order."""
    channel: Channel[Frame] = Channel(5)
    for seq in range(5):
        channel.put(make_frame(seq))
    channel.close()
    assert [[f.seq for f in batch] for batch in channel.batches(2, 0.0)] == [[0, 1], [2, 3], [4]]


def test_capacity_must_be_positive() -> None:
    """An unbounded or empty channel cannot be made."""
    with pytest.raises(ValueError, match="at least 1"):
        Channel[int](0)
