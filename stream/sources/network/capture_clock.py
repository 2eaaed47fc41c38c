"""Capture times for the images of a live stream, as exactly as the receiver can know them.

A stamp has two times from two sources that never mix:

- ``mono_ns``, for ages, comes from this machine's monotonic clock at the image's arrival; no wall clock is involved,
  neither the camera's nor ours. RTP time stamps, if the stream has them, remove the network's jitter: an image that
  arrived later than the quickest of the last seconds was that much older on arrival. What remains is the delay of that
  quickest image, which the receiver cannot measure: the camera's exposure and encoder, and the network.
- ``unix_ns``, the label, is the camera's own time from RTCP sender reports (RFC 3550, 6.4.1) if it is plausible: within
  5 s of our clock, and later than that of the previous image. Otherwise it is our clock's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from statistics import median
from time import monotonic_ns, time_ns

from stream.core.clock import NS_PER_S, NowNs, Stamp

PLAUSIBLE_S = 5.0
"""A camera clock further off than this is wrong, not just slow; an image later than this starts a new time line."""
SET_BACK_S = 0.5
"""A step back in media time of more than this is a restarted time line; reordered images step back less."""
REPORTED_WITHIN_S = 0.005
"""The time from the camera's sender reports was 0.4 to 2.6 ms before the moment of sending (docs/how-to/rigs.md)."""
WINDOW_S = 5.0
"""Window in which the quickest image counts: a camera clock that is 100 ppm off drifts by 0.5 ms in this time."""
MAX_PENDING = 64
"""Packets that are remembered between arrival and stamp; a decoder holds 16 images at most."""
INTERVALS = 9
"""Number of frame intervals whose median is the delay of FFmpeg's parser."""


class CaptureClock:
    """Stamps for the images of one connection: call ``arrived`` for each packet, ``stamp`` for each decoded image."""

    def __init__(
        self, *, rtp: bool = False, held: bool = False, now_ns: NowNs = monotonic_ns, unix_ns: NowNs = time_ns
    ) -> None:
        """``rtp``: media times are a camera's clock. ``held``: FFmpeg returns an image when the next one begins."""
        self._rtp, self._held, self._now_ns, self._unix_ns = rtp, held, now_ns, unix_ns
        self._intervals_s: deque[float] = deque(maxlen=INTERVALS)
        self._offsets: deque[tuple[int, int]] = deque()
        self._arrivals: OrderedDict[float | None, tuple[int, int | None]] = OrderedDict()
        self._last_media_s: float | None = None
        self._last_arrival_ns: int | None = None
        self._last_mono_ns = self._last_camera_ns = 0

    def arrived(self, media_s: float | None, camera_us: int | None = None) -> None:
        """Record a packet's arrival.

        ``media_s``: its seconds on the stream's time line. ``camera_us``: the camera's clock for it, microseconds since
        1970.
        """
        now_ns = self._now_ns()
        self._track_interval(media_s)
        mono_ns = now_ns - self._held_ns()
        if self._rtp and media_s is not None:
            media_ns = round(media_s * NS_PER_S)
            # A held image is returned when the next one begins: the previous arrival is the start of this image.
            began_ns = self._last_arrival_ns if self._held else now_ns
            if began_ns is not None:
                self._add_offset(began_ns, began_ns - media_ns)
            if self._offsets:
                mono_ns = media_ns + self._offsets[0][1]
        self._last_arrival_ns = now_ns
        self._arrivals[media_s] = mono_ns, camera_us
        self._arrivals.move_to_end(media_s)  # a known time keeps its place, but ``stamp`` takes the last one as newest
        while len(self._arrivals) > MAX_PENDING:
            self._arrivals.popitem(last=False)

    def stamp(self, media_s: float | None) -> Stamp:
        """The stamp of the image at ``media_s``, or of the newest packet if no packet had that time.

        ``mono_ns`` never decreases.
        """
        newest = next(reversed(self._arrivals.values()), (self._now_ns(), None))
        mono_ns, camera_us = self._arrivals.get(media_s, newest)
        self._last_mono_ns = mono_ns = max(mono_ns, self._last_mono_ns)
        # The wall clock only labels: it is dated back by the age on the monotonic clock.
        ours_ns = self._unix_ns() - (self._now_ns() - mono_ns)
        if camera_us is not None and self._plausible(camera_us * 1000, ours_ns):
            self._last_camera_ns = camera_us * 1000
            return Stamp(mono_ns, camera_us * 1000, "rtcp", media_s, REPORTED_WITHIN_S)
        return Stamp(mono_ns, ours_ns, "arrival", media_s)

    def _plausible(self, camera_ns: int, ours_ns: int) -> bool:
        return abs(camera_ns - ours_ns) < PLAUSIBLE_S * NS_PER_S and camera_ns > self._last_camera_ns

    def _track_interval(self, media_s: float | None) -> None:
        last_s, self._last_media_s = self._last_media_s, media_s
        if media_s is None or last_s is None:
            return
        if 0 < media_s - last_s < 1:
            self._intervals_s.append(media_s - last_s)
        elif media_s - last_s < -SET_BACK_S:
            # The last arrival, too: the pause of a restart would date the first held image too old.
            self._offsets.clear()
            self._last_arrival_ns = None

    def _held_ns(self) -> int:
        return round(median(self._intervals_s) * NS_PER_S) if self._held and self._intervals_s else 0

    def _add_offset(self, mono_ns: int, offset_ns: int) -> None:
        """Add our clock minus the stream's, as measured at ``mono_ns``; ``_offsets[0]`` is the least of the window."""
        offsets = self._offsets
        while offsets and offsets[0][0] < mono_ns - WINDOW_S * NS_PER_S:
            offsets.popleft()
        if offsets and offset_ns - offsets[0][1] > PLAUSIBLE_S * NS_PER_S:
            offsets.clear()
        # A monotonic queue: an older offset that is not smaller can never be the least again.
        while offsets and offsets[-1][1] >= offset_ns:
            offsets.pop()
        offsets.append((mono_ns, offset_ns))
