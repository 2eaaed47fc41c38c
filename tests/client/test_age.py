"""How old a frame is, on clocks that this test sets."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stream.client.age import AgeClock
from stream.wire.codes import Compression, Encoding, Flags, WireKind
from stream.wire.header import Header

MS = 1_000_000
S = 1000 * MS
EPOCH = 1_700_000_000 * S


@dataclass
class World:
    """True time, and two machines whose clocks show something else."""

    now: int = 0
    """True nanoseconds."""
    our_error: int = 0
    their_error: int = 0

    def clock(self) -> AgeClock:
        return AgeClock(lambda: self.now, lambda: EPOCH + self.now + self.our_error)

    def header(self, captured: int, published: int, flags: Flags = Flags.HOST_ARRIVAL) -> Header:
        """A header with the publisher's clock."""
        shift = EPOCH + self.their_error
        sizes = (8, 6, 32, 192)
        kinds = (Encoding.F32, Compression.RAW, WireKind.METRIC, flags)
        return Header("depth/front", 1, captured + shift, published + shift, *sizes, *kinds)

    def read(
        self, clock: AgeClock, *, way: int, waited: int = 0, age: int = 40 * MS, flags: Flags = Flags.NONE
    ) -> float:
        """A frame is published now, takes ``way``, is read ``waited`` later; the reader had found nothing before.

        How many ms older it is said to be than it is.
        """
        age, published = 40 * MS, self.now
        self.now += way + waited
        header = self.header(published - age, published, flags)
        clock.received(header, self.now - waited - MS)
        return clock.age_ns(header) / MS - (age + way + waited) / MS


@pytest.fixture
def world() -> World:
    return World(now=5 * S)


def test_with_clocks_that_agree_the_age_is_exact(world: World) -> None:
    """From capture until now, including the network and the wait."""
    clock = world.clock()
    assert clock.clocks == "unknown"
    assert clock.offset_ms is None
    assert world.read(clock, way=3 * MS) == 0
    assert world.read(clock, way=250 * MS, waited=70 * MS) == 0
    assert (clock.clocks, clock.offset_ms) == ("same", 3.0)
    header = world.header(world.now, world.now)
    world.now += 8 * S
    assert clock.age_ns(header) == 8 * S


def test_half_a_second_ahead_makes_frames_older_never_younger(world: World) -> None:
    """Such a clock cannot be distinguished from a slow network."""
    world.our_error = 500 * MS
    clock = world.clock()
    assert world.read(clock, way=MS) == 500
    assert world.read(clock, way=MS) == 500
    assert clock.clocks == "same"


def test_far_ahead_is_reported(world: World) -> None:
    """Frames are still not made younger."""
    world.our_error = 3 * S
    clock = world.clock()
    assert world.read(clock, way=MS) == 3000
    assert world.read(clock, way=MS) == 3000
    assert clock.clocks == "ahead"
    assert clock.offset_ms == 3001


@pytest.mark.parametrize("behind", [50 * MS, 2 * S, 3600 * S])
def test_a_clock_that_is_behind_hides_no_delay(world: World, behind: int) -> None:
    """All ages are right but for the quickest way, and the time that no message can have waited less."""
    world.our_error = -behind
    clock = world.clock()
    errors = [world.read(clock, way=2 * MS), world.read(clock, way=400 * MS), world.read(clock, way=MS, waited=30 * MS)]
    assert clock.clocks == "behind"
    assert errors == [
        -1,
        -1,
        -1,
    ]  # said to be 1 ms younger: 2 ms of the quickest way, less 1 ms that it may have waited


def test_a_first_frame_may_have_waited_since_the_opening(world: World) -> None:
    """With a clock behind this is unknowable, so the frame counts as old."""
    world.our_error = -2 * S
    clock = world.clock()
    header = world.header(world.now, world.now)
    opened = world.now
    world.now += 2 * S
    clock.received(header, opened)
    assert clock.age_ns(header) == 2 * S
    assert abs(world.read(clock, way=MS)) <= 1


def test_frames_that_pile_up_behind_a_clock_grow_older(world: World) -> None:
    """A queue that grows somewhere between: each message is later than the quickest one."""
    world.their_error = 10 * S
    clock = world.clock()
    world.read(clock, way=2 * MS)
    for delay in range(100, 2000, 100):
        assert world.read(clock, way=delay * MS) == -1


def test_a_step_of_our_clock_makes_no_frame_younger(world: World) -> None:
    """Back or forth, large or small; the frames on their way included."""
    for step in (-3600 * S, -3 * S, -200 * MS, 200 * MS, 3 * S, 3600 * S):
        clock = World(now=5 * S).clock()
        here = World(now=5 * S)
        clock = here.clock()
        here.read(clock, way=2 * MS)
        last = here.header(here.now, here.now)
        clock.received(last, here.now - MS)
        here.our_error += step
        here.now += 300 * MS
        assert clock.age_ns(last) >= 299 * MS
        assert here.read(clock, way=700 * MS) >= -2
        assert clock.clocks == "stepped"


def test_after_a_step_back_to_the_right_time_ages_are_right_again(world: World) -> None:
    """Started with a wrong clock, then NTP set it: half a minute later nothing of the old time counts."""
    world.our_error = 4 * S
    clock = world.clock()
    assert world.read(clock, way=MS) == 4000
    world.our_error = 0
    for _ in range(40):
        world.now += S
        error = world.read(clock, way=MS)
    assert (clock.clocks, error) == ("same", 0)


def test_a_camera_with_its_own_clock(world: World) -> None:
    """RTCP: seconds off on the same machine, either way; a change to arrival times and back included."""
    clock = world.clock()
    for off in (3 * S, -3 * S):
        world.their_error = off
        assert abs(world.read(clock, way=2 * MS, flags=Flags.RTCP)) <= 1
        world.now += 60 * S
        assert abs(world.read(clock, way=30 * MS, flags=Flags.RTCP)) <= 30
        assert clock.clocks == "camera"
        world.their_error = 0
        assert [world.read(clock, way=2 * MS) for _ in range(2)] == [0, 0]
        assert clock.clocks == "same"


def test_clocks_that_drift_apart(world: World) -> None:
    """100 ppm for an hour is 360 ms; the age never drifts with them by more than 3 ms."""
    world.our_error = -10 * S
    clock = world.clock()
    world.read(clock, way=MS)
    for _ in range(3600):
        world.now += S
        world.our_error += 100_000
        assert -1 <= world.read(clock, way=MS) <= 3.1


def test_another_publisher_is_another_clock(world: World) -> None:
    """Offsets learnt from the first one do not apply to the second."""
    world.their_error = 10 * S
    clock = world.clock()
    world.read(clock, way=MS)
    world.their_error = 0
    clock.restarted()
    assert clock.clocks == "unknown"
    assert [world.read(clock, way=5 * MS) for _ in range(2)] == [0, 0]
    assert clock.clocks == "same"


def test_silence_is_measured_whatever_the_clocks_show(world: World) -> None:
    """Also of a message that had waited in the socket before it was read."""
    world.their_error = 100 * S
    clock = world.clock()
    world.read(clock, way=2 * MS)
    header = world.header(world.now, world.now)
    world.now += 5 * S
    clock.received(header, world.now - 5 * S)
    assert clock.silent_ns(header) == 5 * S - 2 * MS
