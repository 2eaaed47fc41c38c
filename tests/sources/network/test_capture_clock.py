"""CaptureClock with injected clocks: jitter is removed, wrong clocks change only labels, no stamp is in the future."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.clock import NS_PER_S, Stamp
from stream.sources.network.capture_clock import MAX_PENDING, CaptureClock

NOON_S = 1_800_000_000.0


class Clocks:
    """This machine's two clocks; ``step_s`` is a step of the wall clock."""

    def __init__(self) -> None:
        self.mono_s, self.step_s = 100.0, 0.0

    def mono_ns(self) -> int:
        return round(self.mono_s * NS_PER_S)

    def unix_ns(self) -> int:
        return round((NOON_S + self.mono_s + self.step_s) * NS_PER_S)


class Camera:
    """A camera that sends an image every 40 ms from second 100 on; each arrives ``delay_s`` later."""

    def __init__(self, *, rtp: bool = True, held: bool = False, offset_s: float | None = 0.0) -> None:
        self.clocks, self.offset_s = Clocks(), offset_s
        self.clock = CaptureClock(rtp=rtp, held=held, now_ns=self.clocks.mono_ns, unix_ns=self.clocks.unix_ns)
        self.media_s = 0.0

    def image(self, delay_s: float = 0.01, *, interval_s: float = 0.04) -> Stamp:
        self.media_s += interval_s
        return self.shown(self.media_s, delay_s)

    def shown(self, media_s: float, delay_s: float) -> Stamp:
        captured_s = 100.0 + media_s
        self.clocks.mono_s = max(self.clocks.mono_s, captured_s + delay_s)
        us = None if self.offset_s is None else round((NOON_S + captured_s + self.offset_s) * 1e6)
        self.clock.arrived(media_s, us)
        return self.clock.stamp(media_s)

    def error_s(self, stamp: Stamp) -> float:
        """Seconds by which the stamp is later than the capture."""
        assert stamp.media_s is not None
        return stamp.mono_ns / NS_PER_S - 100.0 - stamp.media_s


def test_jitter_is_taken_out() -> None:
    """After one quick image, later ones are dated as if they had been as quick."""
    camera = Camera()
    camera.image(0.01)
    errors = [camera.error_s(camera.image(delay)) for delay in (0.2, 0.15, 0.03, 0.3)]
    assert max(errors) < 0.0101


def test_without_rtp_the_arrival_counts() -> None:
    """Media times of other formats are not a camera's clock."""
    camera = Camera(rtp=False)
    camera.image(0.01)
    assert abs(camera.error_s(camera.image(0.2)) - 0.2) < 1e-6


def test_an_image_that_was_held_back_is_dated_back() -> None:
    """FFmpeg returned it when the next one began, 40 ms later."""
    camera = Camera(held=True, rtp=False)
    for _ in range(5):
        stamp = camera.image(0.05)
    assert abs(camera.error_s(stamp) - 0.01) < 1e-6


def test_a_camera_that_sends_unevenly_is_dated_right() -> None:
    """Of two images 1 ms apart, FFmpeg holds the first for only 1 ms, and its delay is measured correctly."""
    camera, captured_s = Camera(held=True), [0.0]
    for interval_s in [0.04] * 10 + [0.001, 0.079] + [0.04] * 10 + [0.08, 0.02, 0.02] + [0.04] * 10:
        captured_s.append(captured_s[-1] + interval_s)
    errors = []
    for media_s, next_s in pairwise(captured_s):
        camera.clocks.mono_s = 100.0 + next_s + 0.01
        camera.clock.arrived(media_s)
        errors.append(camera.error_s(camera.clock.stamp(media_s)))
    assert max(abs(error - 0.01) for error in errors[1:]) < 1e-6


def test_the_camera_labels() -> None:
    """Its clock is two seconds ahead, and the label shows that."""
    camera = Camera(offset_s=2.0)
    stamp = camera.image()
    assert stamp.source == "rtcp"
    assert stamp.unix_ns == round((NOON_S + 100.04 + 2.0) * 1e6) * 1000


def test_a_wrong_clock_labels_nothing() -> None:
    """The clock is more than five seconds off, in either direction, or not reported."""
    for offset_s in (5.1, -5.1, 3600.0, -1e9, None):
        stamp = Camera(offset_s=offset_s).image(0.01)
        assert stamp.source == "arrival"
        assert abs(stamp.unix_ns / NS_PER_S - (NOON_S + 100.05)) < 1e-3


def test_a_camera_clock_that_steps_back_waits() -> None:
    """Camera labels never go back; until its clock has caught up, ours is used."""
    camera = Camera()
    first = camera.image()
    camera.offset_s = -1.0
    second = camera.image()
    for _ in range(30):
        last = camera.image()
    assert [first.source, second.source, last.source] == ["rtcp", "arrival", "rtcp"]


def test_our_wall_clock_changes_only_labels() -> None:
    """The same images are stamped alike with our wall clock turned back an hour midway."""

    def stamps(step_s: float) -> list[Stamp]:
        camera, found = Camera(), []
        for index in range(50):
            camera.clocks.step_s = step_s if index >= 25 else 0.0
            found.append(camera.image(0.01 + 0.03 * (index % 3)))
        return found

    steady, stepped = stamps(0.0), stamps(-3600.0)
    assert [stamp.mono_ns for stamp in steady] == [stamp.mono_ns for stamp in stepped]
    assert {stamp.source for stamp in steady} == {"rtcp"}
    assert stepped[-1].source == "arrival"
    assert stepped[-1].unix_ns < steady[-1].unix_ns


def test_a_time_line_that_begins_again_is_not_old() -> None:
    """The camera's encoder restarts: media times jump back by two seconds, or ahead by a day."""
    for jump_s in (-2.0, -1e4, 86400.0):
        camera = Camera(offset_s=None)
        for _ in range(100):
            before = camera.image()
        camera.clocks.mono_s += 0.04
        camera.clock.arrived(camera.media_s + jump_s)
        stamp = camera.clock.stamp(camera.media_s + jump_s)
        assert stamp.age_s(camera.clocks.mono_ns()) < 1e-6
        assert stamp.mono_ns >= before.mono_ns


def test_a_slow_clock_makes_images_older_never_younger() -> None:
    """A clock that is 1 % slow causes only the error that builds up within the window."""
    camera = Camera(offset_s=None)
    for index in range(3000):
        camera.clocks.mono_s = 100.0 + 0.0404 * index
        camera.clock.arrived(0.04 * index)
        stamp = camera.clock.stamp(0.04 * index)
        assert 0 <= stamp.age_s(camera.clocks.mono_ns()) < 0.06


def test_images_without_time_stamps_are_dated_by_the_newest_packet() -> None:
    """Some servers send the first images without time stamps."""
    camera = Camera()
    camera.image()
    camera.clocks.mono_s += 0.5
    camera.clock.arrived(None)
    stamp = camera.clock.stamp(None)
    assert (stamp.mono_ns, stamp.media_s, stamp.source) == (camera.clocks.mono_ns(), None, "arrival")


def test_memory_is_bounded() -> None:
    """Packets without an image are forgotten."""
    camera = Camera()
    for index in range(10 * MAX_PENDING):
        camera.clock.arrived(0.04 * index, 1)
    assert len(camera.clock._arrivals) == MAX_PENDING


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.floats(-3, 3, allow_nan=False),
            st.floats(0, 8, allow_nan=False),
            st.none() | st.integers(-(10**16), 10**16),
        ),
        min_size=2,
        max_size=60,
    ),
    held=st.booleans(),
    rtp=st.booleans(),
)
def test_whatever_comes_stamps_are_sane(steps: list[tuple[float, float, int | None]], held: bool, rtp: bool) -> None:
    """Stamps are never in the future and never go back, for any media times, delays and camera clocks."""
    clocks, media_s, found = Clocks(), 0.0, []
    clock = CaptureClock(rtp=rtp, held=held, now_ns=clocks.mono_ns, unix_ns=clocks.unix_ns)
    for media_step_s, wait_s, camera_us in steps:
        media_s += media_step_s
        clocks.mono_s += wait_s
        clock.arrived(media_s, camera_us)
        found.append(clock.stamp(media_s))
        assert found[-1].mono_ns <= clocks.mono_ns()
    assert all(a.mono_ns <= b.mono_ns for a, b in pairwise(found))
