"""When an image of a live stream was captured, as well as this side can know.

Two questions, two answers that never mix:

*How old is it?* ``mono_ns`` comes from this machine's monotonic clock at the image's arrival; the camera's wall clock
and ours have no say. RTP time stamps, where there are any, take the network's jitter out of it: an image that came
later than the quickest of the last seconds was that much older on arrival. What remains is the delay of that quickest
one, which nothing on this side can see: the camera's exposure and encoder, and the way here.

*What does the camera's clock say?* ``unix_ns`` is the camera's own time, from RTCP sender reports (RFC 3550, 6.4.1), if
it is plausible: within 5 s of our clock, and later than that of the image before. Otherwise it is our clock's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from statistics import median
from time import monotonic_ns, time_ns

from stream.core.clock import NS_PER_S, NowNs, Stamp

PLAUSIBLE_S = 5.0
"""A camera's clock further off than this is wrong rather than slow; an image later than this is a new time line."""
SET_BACK_S = 0.5
"""Images that are shown in another order than sent step back less; a camera that starts its time line again, more."""
REPORTED_WITHIN_S = 0.005
"""An image's time by the camera's reports was 0.4 to 2.6 ms before the time it was sent (docs/rigs.md)."""
WINDOW_S = 5.0
"""Of which the quickest image counts: a camera's clock that is 100 ppm off moves 0.5 ms in this time."""
KEPT = 64
"""Images between arrival and decoder; a decoder holds 16 at most."""
INTERVALS = 9


class CaptureClock:
    """The times of one connection's images. ``arrived`` for each packet, then ``stamp`` for each decoded image."""

    def __init__(
        self, *, rtp: bool = False, held: bool = False, now_ns: NowNs = monotonic_ns, unix_ns: NowNs = time_ns
    ) -> None:
        """``rtp``: time stamps are a camera's clock. ``held``: FFmpeg gives an image when the next one begins."""
        self._rtp, self._held, self._now_ns, self._unix_ns = rtp, held, now_ns, unix_ns
        self._intervals_s: deque[float] = deque(maxlen=INTERVALS)
        self._offsets: deque[tuple[int, int]] = deque()
        self._arrivals: OrderedDict[float | None, tuple[int, int | None]] = OrderedDict()
        self._last_media_s: float | None = None
        self._last_arrival_ns: int | None = None
        self._last_mono_ns = self._last_label_ns = 0

    def arrived(self, media_s: float | None, camera_us: int | None = None) -> None:
        """A packet came in: its place on the stream's time line, and the camera's clock (us since 1970) for it."""
        now_ns = self._now_ns()
        self._follow(media_s)
        mono_ns = now_ns - self._held_ns()
        if self._rtp and media_s is not None:
            media_ns = round(media_s * NS_PER_S)
            began_ns = self._last_arrival_ns if self._held else now_ns  # the image before was given when this began
            if began_ns is not None:
                self._note(began_ns, began_ns - media_ns)
            if self._offsets:
                mono_ns = media_ns + self._offsets[0][1]
        self._last_arrival_ns = now_ns
        self._arrivals[media_s] = mono_ns, camera_us
        self._arrivals.move_to_end(media_s)
        while len(self._arrivals) > KEPT:
            self._arrivals.popitem(last=False)

    def stamp(self, media_s: float | None) -> Stamp:
        """Of the image at ``media_s``; of the newest packet, if there was none at that time. Never goes back."""
        newest = next(reversed(self._arrivals.values()), (self._now_ns(), None))
        mono_ns, camera_us = self._arrivals.get(media_s, newest)
        self._last_mono_ns = mono_ns = max(mono_ns, self._last_mono_ns)
        ours_ns = self._unix_ns() - (self._now_ns() - mono_ns)
        if camera_us is not None and self._plausible(camera_us * 1000, ours_ns):
            self._last_label_ns = camera_us * 1000
            return Stamp(mono_ns, camera_us * 1000, "rtcp", media_s, REPORTED_WITHIN_S)
        return Stamp(mono_ns, ours_ns, "arrival", media_s)

    def _plausible(self, camera_ns: int, ours_ns: int) -> bool:
        return abs(camera_ns - ours_ns) < PLAUSIBLE_S * NS_PER_S and camera_ns > self._last_label_ns

    def _follow(self, media_s: float | None) -> None:
        last_s, self._last_media_s = self._last_media_s, media_s
        if media_s is None or last_s is None:
            return
        if 0 < media_s - last_s < 1:
            self._intervals_s.append(media_s - last_s)
        elif media_s - last_s < -SET_BACK_S:
            self._offsets.clear()
            self._last_arrival_ns = None

    def _held_ns(self) -> int:
        return round(median(self._intervals_s) * NS_PER_S) if self._held and self._intervals_s else 0

    def _note(self, mono_ns: int, offset_ns: int) -> None:
        """What lies between the stream's time and ours, by an image that came at ``mono_ns``; the quickest counts."""
        offsets = self._offsets
        while offsets and offsets[0][0] < mono_ns - WINDOW_S * NS_PER_S:
            offsets.popleft()
        if offsets and offset_ns - offsets[0][1] > PLAUSIBLE_S * NS_PER_S:
            offsets.clear()
        while offsets and offsets[-1][1] >= offset_ns:
            offsets.pop()
        offsets.append((mono_ns, offset_ns))
