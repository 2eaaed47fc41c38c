"""Dates images by the source's own clock, and finds out when that clock cannot be trusted.

An image's media time says when it was captured, on a clock that started anywhere. The smallest difference seen between
arrival and media time is that of an image that waited nowhere; any other image is older by what its difference exceeds
this floor, wherever it was held up: in the camera, a proxy, a slow link or a socket. The floor is kept for the whole
connection. It may rise by ``DRIFT`` only, because real clocks run apart by less than that and queues grow faster.

A clock that stands still, runs at a wrong rate or jumps would make every image look old. A wrong rate and a growing
queue look alike, so something else must decide. RTCP sender reports do where the camera sends them, because they tell
the rate of its media clock by its own wall clock. Otherwise it is the link: one that delivers large images much faster
than the stream needs is not what holds the images up. Without either, a queue is assumed: too old is safe.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

from stream.core.clock import NS_PER_S
from stream.sources.network.access_unit import AccessUnit, CameraReport, TimeLine
from stream.sources.network.cadence import Cadence

DRIFT = 200e-6
"""Largest difference between the rates of two real clocks; crystals are specified to 20 to 100 ppm."""
STANDS_STILL_S, STANDS_STILL_IMAGES = 1.0, 5
"""A media time that does not change for this long, and over this many images, stands still."""
FORWARD_S = 0.1
"""A media time may run ahead of the arrival by this, and by 1.5 frame intervals, in one step: jitter."""
BACK_S, BACK_INTERVALS = 0.2, 4
"""Reordered images (B-frames) step back by less than the larger of these."""
JUMPS, JUMPS_WITHIN_S = 3, 10.0
"""So many jumps in this time are a fault of the clock; one is a camera that started a new time line."""
BUCKET_NS = NS_PER_S // 4
SLOPES = ((1.0, 0.2), (4.0, 0.03), (30.0, 0.003))
"""(s, s/s): growth of the delay, by the length over which it must be steady, that is either a queue or a fault."""
LEAST_BUCKETS = 4
STEADY = 0.3
"""The growth may deviate from a straight line by this share of the whole: a wrong rate is steady, jitter is not."""
LARGE_BYTES = 3000
"""Images of several packets, whose first and last byte tell the speed of the link."""
HEADROOM = 3.0
"""A link that is this much faster than the mean rate of the stream holds nothing up."""
INSTANT_NS = 100_000
"""Bytes that lay in one buffer seem to arrive at once."""
SAME_RATE = 0.01
"""A media clock whose rate by the sender reports differs by less than this is right."""
AGREE = 0.5
"""Share of the growth that a rate in the reports must explain."""
REPORTS_APART_S = 2.0
"""Reports closer together say too little about the rate."""
INTERVALS, LEAST_INTERVALS = 9, 3
"""Number of frame intervals whose median counts, and with fewer of which it is unknown."""


@dataclass(slots=True)
class _Bucket:
    """A quarter of a second of arrivals."""

    number: int
    least_ns: int
    """Smallest arrival minus media time."""
    at_ns: int
    """When that was."""
    size: int = 0
    """Bytes that arrived."""
    speeds: list[float] = field(default_factory=list)
    """Bytes/s at which large images arrived."""


class SourceClock:
    """The clock of one connection's time line: ``captured_ns`` for each access unit, in the order of arrival."""

    def __init__(self, time_line: TimeLine) -> None:
        self._has_times, self._is_rtp = time_line in ("rtp", "container", "segments"), time_line == "rtp"
        self._cadence = Cadence() if time_line != "polled" else None
        self.fault = ""
        """Why the source's clock is not used: a few words after "its clock"; empty while it is."""
        self._floor_ns: int | None = None
        self._floor_at_ns = 0
        self._last: tuple[int, int] | None = None
        """Arrival and media time of the previous access unit, nanoseconds."""
        self._top_ns = 0
        self._age_ns = 0
        self._still: tuple[int, int] = (0, 0)
        self._steps_ns: deque[int] = deque(maxlen=INTERVALS)
        self._jumps_ns: deque[int] = deque(maxlen=JUMPS)
        self._buckets: deque[_Bucket] = deque(maxlen=round(SLOPES[-1][0] * NS_PER_S / BUCKET_NS) + 2)
        self._reports: deque[CameraReport] = deque(maxlen=8)

    def report(self, report: CameraReport) -> None:
        """Note a sender report, which tells the rate of the media clock by the camera's wall clock."""
        self._reports.append(report)

    def captured_ns(self, unit: AccessUnit) -> int:
        """The latest moment at which the image can have been captured, CLOCK_MONOTONIC, nanoseconds.

        It is never after the arrival of its first byte.
        """
        by_arrival_ns = self._cadence.captured_ns(unit) if self._cadence is not None else unit.first_ns
        if not self._has_times or unit.media_s is None or self.fault:
            return by_arrival_ns
        media_ns = round(unit.media_s * NS_PER_S)
        self._follow(unit, media_ns)
        if self.fault or self._floor_ns is None:
            return by_arrival_ns
        captured_ns = min(unit.first_ns, media_ns + self._floor_ns)
        self._age_ns = unit.first_ns - captured_ns
        return captured_ns

    def _follow(self, unit: AccessUnit, media_ns: int) -> None:
        """Update the floor with one arrival, and judge the clock."""
        if self._last is not None:
            first_ns, last_media_ns = self._last
            step_ns = media_ns - last_media_ns
            if self._has_jumped(unit.first_ns - first_ns, media_ns, step_ns):
                self._restart(unit.first_ns, media_ns)
            elif 0 < step_ns < NS_PER_S:
                self._steps_ns.append(step_ns)
        self._check_still(unit.first_ns, media_ns)
        self._lower_floor(unit.first_ns, unit.first_ns - media_ns)
        self._count(unit, media_ns)
        self._last = unit.first_ns, media_ns
        self._top_ns = max(self._top_ns, media_ns)

    @property
    def _interval_ns(self) -> int:
        return round(median(self._steps_ns)) if self._steps_ns else 0

    def _has_jumped(self, waited_ns: int, media_ns: int, step_ns: int) -> bool:
        """Whether the media time moved in a way that neither jitter nor reordering explains."""
        if media_ns < self._top_ns - max(BACK_S * NS_PER_S, BACK_INTERVALS * self._interval_ns):
            return True
        if len(self._steps_ns) < LEAST_INTERVALS:
            return False
        ahead_ns = step_ns - waited_ns - 1.5 * self._interval_ns
        # After a gap in the arrivals the media time leaps, too, but only as far as the floor.
        arrived_ns = (self._last[0] if self._last else 0) + waited_ns
        is_below = self._floor_ns is not None and arrived_ns - media_ns < self._floor_ns - FORWARD_S * NS_PER_S
        return ahead_ns > FORWARD_S * NS_PER_S and is_below

    def _restart(self, now_ns: int, media_ns: int) -> None:
        """Begin a new time line. What has queued up before us is still there: the age goes on from the last image's."""
        self._floor_ns, self._floor_at_ns = now_ns - media_ns - self._age_ns, now_ns
        self._top_ns, self._still = media_ns, (0, 0)
        self._buckets.clear()
        self._reports.clear()
        self._jumps_ns.append(now_ns)
        if len(self._jumps_ns) == JUMPS and now_ns - self._jumps_ns[0] < JUMPS_WITHIN_S * NS_PER_S:
            self.fault = "jumps"

    def _check_still(self, now_ns: int, media_ns: int) -> None:
        if self._last is None or media_ns != self._last[1]:
            self._still = (now_ns, 1)
            return
        since_ns, images = self._still
        self._still = (since_ns, images + 1)
        if images >= STANDS_STILL_IMAGES and now_ns - since_ns >= STANDS_STILL_S * NS_PER_S:
            self.fault = "stands still"

    def _lower_floor(self, now_ns: int, offset_ns: int) -> None:
        if self._floor_ns is None:
            self._floor_ns = offset_ns
        else:
            drifted_ns = self._floor_ns + round(DRIFT * max(0, now_ns - self._floor_at_ns))
            self._floor_ns = min(drifted_ns, offset_ns)
        self._floor_at_ns = now_ns

    def _count(self, unit: AccessUnit, media_ns: int) -> None:
        offset_ns, number = unit.first_ns - media_ns, unit.first_ns // BUCKET_NS
        if not self._buckets or number > self._buckets[-1].number:
            self._judge()
            self._buckets.append(_Bucket(number, offset_ns, unit.first_ns))
        bucket = self._buckets[-1]
        if offset_ns < bucket.least_ns:
            bucket.least_ns, bucket.at_ns = offset_ns, unit.first_ns
        bucket.size += len(unit.data)
        if len(unit.data) >= LARGE_BYTES:
            took_ns = max(INSTANT_NS, unit.complete_ns - unit.first_ns)
            bucket.speeds.append(len(unit.data) * NS_PER_S / took_ns)

    def _judge(self) -> None:
        """Decide, from the buckets that are complete, whether a steady growth of the delay is the clock's fault."""
        # Only an RTP reader knows when an image was complete, and so the speed of the link.
        for span_s, slope in SLOPES if self._is_rtp else ():
            buckets = self._within(span_s)
            rate = _slope(buckets)
            if abs(rate) >= slope and self._is_fault(rate, buckets):
                self.fault = f"runs at {max(0.0, 1 - rate):.3g} times real time"
                return

    def _within(self, span_s: float) -> list[_Bucket]:
        """The newest buckets that cover ``span_s``; none if there are too few."""
        if not self._buckets:
            return []
        begin = self._buckets[-1].number - round(span_s * NS_PER_S / BUCKET_NS)
        if self._buckets[0].number > begin:
            return []
        buckets = [bucket for bucket in self._buckets if bucket.number >= begin]
        return buckets if len(buckets) >= LEAST_BUCKETS else []

    def _is_fault(self, rate: float, buckets: list[_Bucket]) -> bool:
        stated = self._stated_rate()
        if stated is not None:
            return abs(stated - 1) > SAME_RATE and (1 - stated) / rate > AGREE
        if not _is_steady(buckets):
            return False
        # The later half, because the link may have been quicker when the growth began.
        speeds = [speed for bucket in buckets[len(buckets) // 2 :] for speed in bucket.speeds]
        mean = sum(bucket.size for bucket in buckets) / (len(buckets) * BUCKET_NS / NS_PER_S)
        return bool(speeds) and min(speeds) >= HEADROOM * mean

    def _stated_rate(self) -> float | None:
        """The rate of the media clock by the camera's wall clock; None without two reports."""
        if len(self._reports) < 2:
            return None
        first, last = self._reports[0], self._reports[-1]
        camera_s = (last.camera_ns - first.camera_ns) / NS_PER_S
        return (last.media_s - first.media_s) / camera_s if camera_s >= REPORTS_APART_S else None


def _slope(buckets: list[_Bucket]) -> float:
    """Growth of the least offset from the first to the last bucket, s/s."""
    if not buckets:
        return 0.0
    first, last = buckets[0], buckets[-1]
    return (last.least_ns - first.least_ns) / (last.at_ns - first.at_ns)


def _is_steady(buckets: list[_Bucket]) -> bool:
    """Whether all buckets are near the line through the ends: a wrong rate is, a step or a burst is not."""
    first, slope = buckets[0], _slope(buckets)
    allowed_ns = STEADY * abs(buckets[-1].least_ns - first.least_ns)
    line_ns = (first.least_ns + slope * (bucket.at_ns - first.at_ns) for bucket in buckets)
    return all(
        abs(bucket.least_ns - expected_ns) <= allowed_ns for bucket, expected_ns in zip(buckets, line_ns, strict=True)
    )
