"""Capture times for the images of a GStreamer pipeline.

A live source gives each buffer the time at which it took the image, or received the data, and GStreamer carries it
through the pipeline (PTS). Two things are wrong with it, both measured with GStreamer 1.22:

- It is missing, constant or in the future with some sources. Then the time at which the image left the pipeline counts.
- For data from a network it follows the arrivals (the jitter buffer's skew estimate), so a queue in front of it is not
  seen: after a process had been stopped for 3 s, images 3 s old came with times in the future, and over a link 10 % too
  slow, images 5.9 s old were 0.1 s old by it. The camera's own clock (RTP's time stamps) is the witness: its lag behind
  its best is age.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic_ns, time_ns

from stream.core.clock import NS_PER_MS, NS_PER_S, NowNs, Stamp, StampSource

PLAUSIBLE_NS = 10 * NS_PER_S
"""A time that is older than this is a broken clock, not a slow pipeline (rtspsrc holds images for 2 s by default)."""
LABEL_WITHIN_NS = 5 * NS_PER_S
"""A camera's wall clock further off than this is no label."""
STILL_NS = 50_000
"""No camera takes images closer together. Times of one clock differ a little when they are read on another one."""
BROKEN_RATE = 0.5
"""A camera's clock that runs slower than this is broken; a link that is so slow would carry no video."""
RATE_WINDOW_NS = 2 * NS_PER_S
RATE_IMAGES = 8
DRIFT_PPM = 200
"""Real clocks drift by less than this; a queue that grows grows faster."""
JITTER_NS = 100 * NS_PER_MS
"""A step back of less than this is levelled, so that stamps do not go back for the jitter of an estimate."""
BEHIND_NS = NS_PER_S
"""Images that are older than the best of the connection by this are behind ..."""
BEHIND_FOR_NS = NS_PER_S
"""... if it lasts for this time: after a hiccup the waiting images come at once."""
FAULTY_IMAGES = 5
"""So many images in a row without a plausible time: the fault is named."""


@dataclass(frozen=True, slots=True)
class ImageTimes:
    """What is known of one image."""

    arrived_ns: int
    """The image left the pipeline, CLOCK_MONOTONIC, nanoseconds."""
    pts_ns: int | None
    """GStreamer's time of the image on the same clock; None if it has none."""
    media_ns: int | None = None
    """The camera's own clock, nanoseconds from an unknown start (RTP); None if unknown."""
    unix_ns: int | None = None
    """The camera's wall clock, nanoseconds since 1970; None before its first RTCP sender report, or without any."""


class ImageClock:
    """Stamps for the images of one connection, in the order of their arrival."""

    def __init__(self, source: StampSource, unix_ns: NowNs = time_ns, now_ns: NowNs = monotonic_ns) -> None:
        """``source``: the name for GStreamer's times; "device" for a local camera, "arrival" for a network."""
        self._source: StampSource = source
        self._unix_ns, self._now_ns = unix_ns, now_ns
        self._witness = _CameraWitness()
        self._best_age = _Least()
        self._last_ns, self._last_pts_ns = 0, -1
        self._last_arrival_ns = 0
        self._behind_since_ns: int | None = None
        self._faulty = 0
        self.fault = ""
        """What is wrong with GStreamer's times, a few words after "its clock"; empty: nothing."""
        self.lag_s = 0.0
        """How much older the last image was on arrival than the best one of this connection, seconds."""

    @property
    def has_witness(self) -> bool:
        """Whether the camera's clock is known, so that a queue in front of the pipeline cannot hide."""
        return self._witness.is_known

    def stamp(self, times: ImageTimes) -> Stamp:
        """The capture time, which is never after the arrival."""
        fault = self._fault_of(times)
        self._faulty = self._faulty + 1 if fault else 0
        mono_ns = times.arrived_ns if fault or times.pts_ns is None else times.pts_ns
        mono_ns = min(mono_ns, self._witness.captured_ns(mono_ns, times), times.arrived_ns)
        # The camera's own clock stands in for the times that GStreamer makes of arrivals.
        unusable = fault if self._faulty >= FAULTY_IMAGES and not self.has_witness else ""
        self.fault = self._witness.fault or unusable
        if 0 < self._last_ns - mono_ns < JITTER_NS:
            mono_ns = min(self._last_ns, times.arrived_ns)
        self._last_ns = mono_ns
        self._track_lag(times.arrived_ns, mono_ns)
        return self._labelled(mono_ns, times.unix_ns, "arrival" if fault else self._source)

    def is_behind(self) -> bool:
        """Whether images have been too old for too long."""
        return self._behind_since_ns is not None and self._last_arrival_ns - self._behind_since_ns > BEHIND_FOR_NS

    def _fault_of(self, times: ImageTimes) -> str:
        """Why the image's time cannot be used; empty if it can."""
        pts_ns, last_ns = times.pts_ns, self._last_pts_ns
        if pts_ns is None:
            return "gives no times"
        self._last_pts_ns = pts_ns
        if abs(pts_ns - last_ns) < STILL_NS:
            return "stands still"
        if pts_ns > times.arrived_ns:
            return "is ahead"
        return "" if times.arrived_ns - pts_ns < PLAUSIBLE_NS else "is too slow"

    def _track_lag(self, arrived_ns: int, mono_ns: int) -> None:
        self._last_arrival_ns = arrived_ns
        lag_ns = arrived_ns - mono_ns - self._best_age.update(arrived_ns - mono_ns, arrived_ns)
        self.lag_s = lag_ns / NS_PER_S
        if lag_ns <= BEHIND_NS:
            self._behind_since_ns = None
        elif self._behind_since_ns is None:
            self._behind_since_ns = arrived_ns

    def _labelled(self, mono_ns: int, camera_ns: int | None, source: StampSource) -> Stamp:
        # The wall clock only labels: it is dated back by the age on the monotonic clock.
        ours_ns = self._unix_ns() - (self._now_ns() - mono_ns)
        if camera_ns is not None and abs(camera_ns - ours_ns) < LABEL_WITHIN_NS:
            return Stamp(mono_ns, camera_ns, "rtcp")
        return Stamp(mono_ns, ours_ns, source)


class _CameraWitness:
    """Places the camera's clock on ours: by the image with the least delay so far."""

    def __init__(self) -> None:
        self._offset, self._rate = _Least(), _Rate()
        self._last_media_ns, self._step_ns = 0, 0
        self._is_started = False
        self.fault = ""
        """Why the camera's clock is not used any more."""

    @property
    def is_known(self) -> bool:
        return self._is_started and not self.fault

    def captured_ns(self, mono_ns: int, times: ImageTimes) -> int:
        """The latest moment at which the image can have been taken; ``mono_ns`` as long as nothing is known."""
        media_ns = self._media_ns(times)
        if media_ns is None or self.fault:
            return mono_ns
        rate = self._rate.update(times.arrived_ns, media_ns)
        if rate < BROKEN_RATE:
            self.fault = "stands still" if rate <= 0 else f"runs at {rate:.2g} times real time"
            return mono_ns
        offset_ns = mono_ns - media_ns
        least_ns = self._offset.update(offset_ns, times.arrived_ns)
        if offset_ns - least_ns > PLAUSIBLE_NS:  # the camera's clock was set back: a queue is not that long
            least_ns = self._offset.restart(offset_ns, times.arrived_ns)
        return media_ns + least_ns

    def _media_ns(self, times: ImageTimes) -> int | None:
        """The image's own time, or for one without the shortest step after the previous one's."""
        if times.media_ns is not None:
            step_ns = times.media_ns - self._last_media_ns
            if self._is_started and step_ns > 0:
                self._step_ns = min(step_ns, self._step_ns or step_ns)
            self._is_started, self._last_media_ns = True, times.media_ns
        elif self._is_started:
            self._last_media_ns += self._step_ns
        return self._last_media_ns if self._is_started else None


class _Rate:
    """The rate of the camera's clock by ours, over the last images that came without a pause."""

    def __init__(self) -> None:
        self._images: deque[tuple[int, int]] = deque()

    def update(self, arrived_ns: int, media_ns: int) -> float:
        """The larger of the rates in the two halves of the window; 1 as long as the window is not full."""
        images = self._images
        images.append((arrived_ns, media_ns))
        while arrived_ns - images[0][0] > RATE_WINDOW_NS:
            images.popleft()
        if len(images) < RATE_IMAGES or arrived_ns - images[0][0] < RATE_WINDOW_NS * 3 // 4:
            return 1.0
        middle = images[len(images) // 2]
        return max(_rate(images[0], middle), _rate(middle, images[-1]))


def _rate(first: tuple[int, int], last: tuple[int, int]) -> float:
    return (last[1] - first[1]) / max(1, last[0] - first[0])


class _Least:
    """The least of the values so far, which rises by what clocks may drift."""

    def __init__(self) -> None:
        self._value: int | None = None
        self._at_ns = 0

    def update(self, value: int, now_ns: int) -> int:
        if self._value is not None:
            value = min(value, self._value + (now_ns - self._at_ns) * DRIFT_PPM // 1_000_000)
        return self.restart(value, now_ns)

    def restart(self, value: int, now_ns: int) -> int:
        self._value, self._at_ns = value, now_ns
        return value
