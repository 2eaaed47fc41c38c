"""SourceClock never dates an image too young, whatever queues before us, and sees through broken clocks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from stream.core.clock import NS_PER_S
from stream.sources.network.access_unit import AccessUnit, CameraReport, TimeLine
from stream.sources.network.source_clock import SourceClock

START_S = 1000.0
"""Our monotonic clock when the camera's first image is captured."""
DELAY_S = 0.05
"""What every image takes at least: the receiver cannot know it."""
KEY_EVERY = 25
KEY_BYTES, OTHER_BYTES = 40_000, 4_000
FAST = 50e6
"""Bytes/s of a link that holds nothing up."""


@dataclass
class Camera:
    """A camera of 25 fps, its clock, and the link to us; yields (true age on arrival, item)."""

    fps: float = 25.0
    media_s: Callable[[float], float] = lambda true_s: true_s
    """Its media clock."""
    link: float = FAST
    """Bytes/s."""
    stalls: dict[int, float] = field(default_factory=dict)
    """Image -> seconds for which the link stands still before it."""
    jitter_s: float = 0.0
    reports: bool = False
    reorder: bool = False
    """Two B-frames between references: presentation times step back."""

    def items(self, seconds: float) -> Iterator[tuple[float, AccessUnit | CameraReport]]:
        rng, free_s, reported_s = random.Random(1), 0.0, -10.0
        for index in range(round(seconds * self.fps)):
            shown = index + (2, -1, -1)[index % 3] if self.reorder else index
            captured_s = max(0, shown) / self.fps
            size = KEY_BYTES if index % KEY_EVERY == 0 else OTHER_BYTES
            sent_s = index / self.fps + rng.uniform(0, self.jitter_s)
            free_s = max(free_s, sent_s) + self.stalls.get(index, 0.0)
            first_s, free_s = free_s, free_s + size / self.link
            if self.reports and index / self.fps - reported_s >= 2.0:
                reported_s = index / self.fps
                yield 0.0, CameraReport(ns(first_s), round(1.7e18 + reported_s * 1e9), 7.0 + self.media_s(reported_s))
            unit = AccessUnit(bytes(size), size == KEY_BYTES, ns(first_s), ns(free_s), 7.0 + self.media_s(captured_s))
            yield first_s - captured_s, unit


def ns(camera_s: float) -> int:
    return round((START_S + DELAY_S + camera_s) * NS_PER_S)


@dataclass
class Dated:
    """What the clock said of one image."""

    at_s: float
    true_s: float
    """Age on arrival, without ``DELAY_S``, which no receiver can know."""
    said_s: float

    @property
    def young_s(self) -> float:
        return self.true_s - self.said_s


def dated(camera: Camera, seconds: float, time_line: TimeLine = "rtp") -> tuple[list[Dated], SourceClock, float | None]:
    """The images, the clock, and the time at which it found its source at fault."""
    clock, images, fault_s = SourceClock(time_line), [], None
    for true_s, item in camera.items(seconds):
        if isinstance(item, CameraReport):
            clock.report(item)
            continue
        captured_ns = clock.captured_ns(item)
        at_s = item.first_ns / NS_PER_S - START_S
        assert captured_ns <= item.first_ns
        images.append(Dated(at_s, true_s, (item.first_ns - captured_ns) / NS_PER_S))
        if clock.fault and fault_s is None:
            fault_s = at_s
    return images, clock, fault_s


QUEUES = {
    "a slow link": Camera(link=0.95 * 25 * (OTHER_BYTES + (KEY_BYTES - OTHER_BYTES) / KEY_EVERY)),
    "a very slow link": Camera(link=0.7 * 25 * (OTHER_BYTES + (KEY_BYTES - OTHER_BYTES) / KEY_EVERY)),
    "a link that stood still for 3 s": Camera(link=300_000, stalls={200: 3.0}),
    "a link that stands still every second": Camera(stalls=dict.fromkeys(range(25, 2000, 25), 0.4)),
    "jitter": Camera(jitter_s=0.08),
    "10 fps": Camera(fps=10, link=0.9 * 10 * (OTHER_BYTES + (KEY_BYTES - OTHER_BYTES) / KEY_EVERY)),
    "1 fps": Camera(fps=1, stalls={20: 2.5}),
    "reordered images": Camera(reorder=True, stalls={300: 1.5}),
}


@pytest.mark.parametrize("name", QUEUES)
@pytest.mark.parametrize("reports", [False, True], ids=["", "reports"])
@pytest.mark.parametrize("time_line", ["rtp", "container"])
def test_a_queue_makes_no_image_young(name: str, reports: bool, time_line: TimeLine) -> None:
    """Of a minute of images none is more than 100 ms older than said, and the clock is not suspected."""
    camera = QUEUES[name]
    camera.reports = reports
    images, clock, _ = dated(camera, 60, time_line)
    assert clock.fault == ""
    assert max(image.young_s for image in images) < 0.1
    assert max(-image.young_s for image in images) < 0.2, "nor much younger than said"


def wrong_rate(rate: float) -> Callable[[float], float]:
    return lambda true_s: rate * true_s


def stepping(step_s: float, every_s: float) -> Callable[[float], float]:
    return lambda true_s: true_s + step_s * (true_s // every_s)


def outliers(true_s: float) -> float:
    return true_s - 9800 * (round(true_s * 25) % 50 == 49)


FAULTS = {
    "stands still": (lambda true_s: 0.0, "stands still"),
    "8 kHz for 90": (wrong_rate(8 / 90), "runs at 0.089 times real time"),
    "90 kHz for 8": (wrong_rate(90 / 8), "runs at 11 times real time"),
    "half": (wrong_rate(0.5), "runs at 0.5 times real time"),
    "5 % slow": (wrong_rate(0.95), "runs at 0.95 times real time"),
    "5 % fast": (wrong_rate(1.05), "runs at 1.1 times real time"),
    "back 0.3 s each second": (stepping(-0.3, 1.0), "jumps"),
    "back 5 s every 2 s": (stepping(-5.0, 2.0), "jumps"),
    "ahead 3 s every 2 s": (stepping(3.0, 2.0), "jumps"),
    "one image in 50 is hours off": (outliers, "jumps"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("reports", [False, True], ids=["", "reports"])
@pytest.mark.parametrize("jitter_s", [0.0, 0.03])
def test_a_broken_clock_costs_only_the_clock(name: str, reports: bool, jitter_s: float) -> None:
    """It is named within 5 s; from then on the arrival counts. Until then no image is said to be much too old."""
    media_s, fault = FAULTS[name]
    images, clock, fault_s = dated(Camera(media_s=media_s, reports=reports, jitter_s=jitter_s), 15)
    assert clock.fault == fault or clock.fault.startswith(fault[:9])
    assert fault_s is not None
    assert fault_s <= 6.1 if "jumps" in fault else fault_s <= 5.1
    assert all(image.said_s == 0 for image in images if image.at_s > fault_s)
    assert max(image.said_s for image in images) < 1.3


def test_a_slow_clock_behind_a_slow_link_is_left_to_the_reports() -> None:
    """Without reports a queue is assumed: too old is safe."""
    mean = 25 * (OTHER_BYTES + (KEY_BYTES - OTHER_BYTES) / KEY_EVERY)
    assert dated(Camera(media_s=wrong_rate(0.95), link=1.1 * mean), 30)[1].fault == ""
    assert dated(Camera(media_s=wrong_rate(0.95), link=1.1 * mean, reports=True), 30)[1].fault


@pytest.mark.parametrize("ppm", [-150, -50, 50, 150])
def test_real_clocks_may_drift(ppm: float) -> None:
    """Over half an hour the ages stay right although the clocks end up a quarter of a second apart."""
    images, clock, _ = dated(Camera(fps=5, media_s=wrong_rate(1 + ppm * 1e-6), stalls={8000: 0.5}), 1800)
    assert clock.fault == ""
    assert max(image.young_s for image in images) < 0.1
    assert max(-image.young_s for image in images) < 0.1


@pytest.mark.parametrize(
    ("jump_s", "stall_s"), [(3 * 3600.0, 2.0), (-3 * 3600.0, 2.0), (1.5, 2.0), (-1.5, 2.0), (-0.4, 2.0), (0.4, 0.0)]
)
def test_a_new_time_line_keeps_the_age(jump_s: float, stall_s: float) -> None:
    """A camera that restarts its clock behind a queue of two seconds is not suddenly fresh."""

    def media_s(true_s: float) -> float:
        return true_s + jump_s * (true_s >= 8.0)

    images, clock, _ = dated(Camera(media_s=media_s, stalls={100: stall_s}, link=200_000), 12)
    assert clock.fault == ""
    assert max(image.young_s for image in images) < 0.1


def test_no_media_times_mean_arrival() -> None:
    """MJPEG over HTTP has none, and the first packets of some servers have none either."""
    clock = SourceClock("none")
    assert clock.captured_ns(AccessUnit(b"", True, 5, 9, 3.0)) == 5
    assert SourceClock("rtp").captured_ns(AccessUnit(b"", True, 5, 9)) == 5
