"""Capture times of GStreamer's images: what counts where, queues that the camera's clock shows, broken clocks."""

from __future__ import annotations

from stream.core.clock import NS_PER_MS, NS_PER_S, Stamp
from stream.sources.gstreamer.image_clock import ImageClock, ImageTimes

STEP_NS = 40 * NS_PER_MS
START_NS = 1000 * NS_PER_S
UNIX_NS = 1_800_000_000 * NS_PER_S
"""The wall clock when the monotonic clock is 0."""


class Run:
    """A camera at 25 images a second: each image is captured, travels for ``delay_ns``, and arrives."""

    def __init__(self, *, witness: bool = False, camera_off_ns: int = 0) -> None:
        self.now_ns = START_NS
        self.clock = ImageClock("device", unix_ns=lambda: UNIX_NS + self.now_ns, now_ns=lambda: self.now_ns)
        self._witness, self.camera_off_ns = witness, camera_off_ns
        self.captured_ns, self.rate = START_NS, 1.0

    def image(
        self, delay_ns: int = 5 * NS_PER_MS, pts_ns: int | None = None, *, no_pts: bool = False, reported: bool = True
    ) -> Stamp:
        """``pts_ns``: GStreamer's time of it; None: the time of capture."""
        self.captured_ns += STEP_NS
        self.now_ns = self.captured_ns + delay_ns
        pts_ns = None if no_pts else self.captured_ns if pts_ns is None else pts_ns
        media_ns = round(self.captured_ns * self.rate) + self.camera_off_ns if self._witness and reported else None
        unix_ns = UNIX_NS + media_ns if media_ns is not None else None
        return self.clock.stamp(ImageTimes(self.now_ns, pts_ns, media_ns, unix_ns))

    def error_s(self, stamp: Stamp) -> float:
        """How much younger than the truth the image is said to be, seconds."""
        return (stamp.mono_ns - self.captured_ns) / NS_PER_S


def test_gstreamers_time_is_the_time_of_capture() -> None:
    run = Run()
    stamps = [run.image(delay_ns=30 * NS_PER_MS) for _ in range(10)]
    assert run.error_s(stamps[-1]) == 0
    assert {stamp.source for stamp in stamps} == {"device"}
    assert stamps[-1].unix_ns == UNIX_NS + stamps[-1].mono_ns


def test_without_a_time_the_arrival_counts_and_the_fault_is_named() -> None:
    run = Run()
    assert run.image(no_pts=True).source == "arrival"
    assert run.clock.fault == ""  # one image is no fault
    for _ in range(10):
        stamp = run.image(no_pts=True)
    assert stamp.mono_ns == run.now_ns
    assert run.clock.fault == "gives no times"


def test_times_in_the_future_long_past_or_standing_still_do_not_count() -> None:
    """A broken clock costs the clock, not the camera."""
    for pts_ns, fault in ((2 * START_NS, "is ahead"), (START_NS // 2, "is too slow"), (START_NS, "stands still")):
        run = Run()
        stamps = [run.image(pts_ns=pts_ns + (0 if fault == "stands still" else n * STEP_NS)) for n in range(20)]
        assert stamps[-1].mono_ns == run.now_ns
        assert stamps[-1].source == "arrival"
        assert run.clock.fault == fault
        assert not run.clock.is_behind()


def test_a_fault_that_ends_is_forgotten() -> None:
    run = Run()
    for _ in range(10):
        run.image(no_pts=True)
    run.image()
    assert run.clock.fault == ""


def test_the_cameras_clock_shows_a_queue_that_gstreamer_does_not() -> None:
    """The images of 3 s come at once, dated by GStreamer as if just taken, or even later."""
    for camera_off_ns in (0, -3600 * NS_PER_S, 7 * NS_PER_S):
        run = Run(witness=True, camera_off_ns=camera_off_ns)
        for _ in range(50):
            run.image()
        assert run.clock.has_witness
        end_ns = run.now_ns + 3 * NS_PER_S
        for number in range(70):
            delay_ns = end_ns - run.captured_ns - STEP_NS
            stamp = run.image(delay_ns, pts_ns=end_ns + number * NS_PER_MS)
            assert abs(run.error_s(stamp)) < 0.02
        assert not run.clock.is_behind(), "it was over at once"


def test_images_without_a_report_of_their_own_are_not_young() -> None:
    """Key frames lack it, and one may be the first image after a pause."""
    run = Run(witness=True)
    for _ in range(50):
        run.image()
    stamp = run.image(3 * NS_PER_S, pts_ns=run.captured_ns + 3 * NS_PER_S, reported=False)
    assert run.error_s(stamp) <= 0.001


def test_a_growing_queue_is_behind() -> None:
    """The link is 5 % slower than the stream; the jitter buffer takes that for the camera's rate."""
    run = Run(witness=True)
    behind_at = None
    for number in range(2000):
        delay_ns = 5 * NS_PER_MS + number * STEP_NS // 20
        stamp = run.image(delay_ns, pts_ns=run.captured_ns + STEP_NS + delay_ns - NS_PER_MS)
        assert run.error_s(stamp) < 0.1
        if behind_at is None and run.clock.is_behind():
            behind_at = delay_ns / NS_PER_S
    assert behind_at is not None
    assert 1.0 < behind_at < 1.3
    assert run.clock.lag_s > 3


def test_a_constant_delay_is_not_behind() -> None:
    """Such as rtspsrc's own of 2 s."""
    run = Run()
    for _ in range(200):
        stamp = run.image(2 * NS_PER_S)
    assert run.error_s(stamp) == 0
    assert not run.clock.is_behind()


def test_a_slow_drift_is_no_queue() -> None:
    """A camera's clock that is 100 ppm slow is not 0.06 s older after ten minutes."""
    run = Run(witness=True)
    for _ in range(600 * 25):
        run.camera_off_ns -= STEP_NS // 10_000
        stamp = run.image()
    assert abs(run.error_s(stamp)) < 0.02


def test_a_camera_that_sets_its_clock_back_is_read_on() -> None:
    run = Run(witness=True)
    for _ in range(50):
        run.image()
    run.camera_off_ns = -3600 * NS_PER_S
    for _ in range(50):
        stamp = run.image()
    assert abs(run.error_s(stamp)) < 0.02
    assert not run.clock.is_behind()


def test_a_camera_clock_of_a_wrong_rate_is_not_believed() -> None:
    """GStreamer's times, which follow the arrivals, are; the fault is named before anything counts as late."""
    for rate, fault in ((8 / 90, "runs at 0.089 times real time"), (0.0, "stands still")):
        run = Run(witness=True)
        run.rate = rate
        for _ in range(100):
            stamp = run.image()
            assert not run.clock.is_behind()
        assert abs(run.error_s(stamp)) < 0.001
        assert run.clock.fault == fault
        assert not run.clock.has_witness


def test_a_pause_is_no_wrong_rate() -> None:
    """Neither a camera's nor the reader's own."""
    run = Run(witness=True)
    for delay_s in (0.0, 3.0, 0.0):
        for _ in range(60):
            run.image(round(delay_s * NS_PER_S))
        run.captured_ns += 2 * NS_PER_S
    assert run.clock.fault == ""


def test_a_cameras_plausible_clock_is_the_label() -> None:
    near, far = Run(witness=True, camera_off_ns=NS_PER_S), Run(witness=True, camera_off_ns=60 * NS_PER_S)
    stamp = near.image()
    assert (stamp.source, stamp.unix_ns) == ("rtcp", UNIX_NS + near.captured_ns + NS_PER_S)
    assert far.image().source == "device"
