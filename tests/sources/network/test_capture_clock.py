"""Stamps with injected clocks: the camera's clock only labels, and no stamp is in the future or goes back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.clock import NS_PER_S, Stamp
from stream.sources.network.access_unit import AccessUnit, CameraReport
from stream.sources.network.capture_clock import CaptureClock
from stream.sources.network.source_clock import SourceClock

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

    def __init__(self, offset_s: float | None = 0.0) -> None:
        self.clocks, self.offset_s = Clocks(), offset_s
        self.source, self.labels = SourceClock("rtp"), CaptureClock(self.clocks.mono_ns, self.clocks.unix_ns)
        self.media_s = 0.0

    def image(self, delay_s: float = 0.01) -> Stamp:
        self.media_s += 0.04
        captured_s = 100.0 + self.media_s
        self.clocks.mono_s = max(self.clocks.mono_s, captured_s + delay_s)
        now_ns = self.clocks.mono_ns()
        camera_ns = None if self.offset_s is None else round((NOON_S + captured_s + self.offset_s) * NS_PER_S)
        unit = AccessUnit(b"", True, now_ns, now_ns, self.media_s, camera_ns)
        return self.labels.stamp(unit, self.source.captured_ns(unit))


def test_the_camera_labels() -> None:
    """Its clock is two seconds ahead, and the label shows that."""
    stamp = Camera(offset_s=2.0).image()
    assert stamp.source == "rtcp"
    assert stamp.unix_ns == round((NOON_S + 100.04 + 2.0) * NS_PER_S)


def test_a_wrong_clock_labels_nothing() -> None:
    """The clock is more than five seconds off, in either direction, or not reported."""
    for offset_s in (5.1, -5.1, 3600.0, -1e9, None):
        stamp = Camera(offset_s=offset_s).image(0.01)
        assert stamp.source == "arrival"
        assert abs(stamp.unix_ns / NS_PER_S - (NOON_S + 100.05)) < 1e-3


def test_a_late_image_keeps_its_label() -> None:
    """The label of an image that waited for 11 s is the time of its capture: it is compared after the age is off."""
    camera = Camera()
    camera.image()
    stamp = camera.image(delay_s=11.0)
    assert stamp.source == "rtcp"
    assert abs(stamp.age_s(camera.clocks.mono_ns()) - 11.0) < 0.05


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


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.floats(-3, 3, allow_nan=False),
            st.floats(0, 8, allow_nan=False),
            st.none() | st.integers(-(10**18), 10**18),
            st.integers(0, 100_000),
        ),
        min_size=2,
        max_size=60,
    ),
    line=st.sampled_from(["rtp", "container", "segments", "none"]),
)
def test_whatever_comes_stamps_are_sane(steps: list[tuple[float, float, int | None, int]], line: str) -> None:
    """Stamps are never in the future and never go back, for any media times, delays, sizes and camera clocks."""
    clocks, media_s, found = Clocks(), 0.0, []
    source, labels = SourceClock(line), CaptureClock(clocks.mono_ns, clocks.unix_ns)
    for media_step_s, wait_s, camera_ns, size in steps:
        media_s += media_step_s
        first_ns = clocks.mono_ns()
        clocks.mono_s += wait_s
        if camera_ns is not None:
            source.report(CameraReport(first_ns, camera_ns, media_s))
        unit = AccessUnit(bytes(size), True, first_ns, clocks.mono_ns(), media_s, camera_ns)
        found.append(labels.stamp(unit, source.captured_ns(unit)))
        assert found[-1].mono_ns <= first_ns
    assert all(a.mono_ns <= b.mono_ns for a, b in pairwise(found))
