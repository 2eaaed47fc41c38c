"""Stamps for the images of a live stream: the age by our monotonic clock, the label by the camera's clock if it fits.

- ``mono_ns``, for ages, is the latest moment at which the image can have been captured: ``SourceClock`` finds it from
  the arrival of the image's first byte and from media times. No wall clock is involved, neither the camera's nor ours.
  What remains unknown is the delay of the quickest image of the connection: exposure, encoder and network.
- ``unix_ns``, the label, is the camera's own time from RTCP sender reports (RFC 3550, 6.4.1) if it is plausible: within
  5 s of our clock, after the age is taken off, and later than that of the previous image. Otherwise it is our clock's.
"""

from __future__ import annotations

from time import monotonic_ns, time_ns

from stream.core.clock import NS_PER_S, NowNs, Stamp
from stream.sources.network.access_unit import AccessUnit

PLAUSIBLE_S = 5.0
"""A camera clock further off than this is wrong, not just slow."""
REPORTED_WITHIN_S = 0.005
"""The time from the camera's sender reports was 0.4 to 2.6 ms before the moment of sending (docs/how-to/rigs.md)."""


class CaptureClock:
    """Stamps for the images of one connection, in the order in which they are shown."""

    def __init__(self, now_ns: NowNs = monotonic_ns, unix_ns: NowNs = time_ns) -> None:
        self._now_ns, self._unix_ns = now_ns, unix_ns
        self._last_mono_ns = self._last_camera_ns = 0

    def stamp(self, unit: AccessUnit, captured_ns: int) -> Stamp:
        """The stamp of the image in ``unit``, captured at ``captured_ns`` (``SourceClock.captured_ns``).

        ``mono_ns`` never decreases.
        """
        self._last_mono_ns = mono_ns = max(captured_ns, self._last_mono_ns)
        # The wall clock only labels: it is dated back by the age on the monotonic clock.
        ours_ns = self._unix_ns() - (self._now_ns() - mono_ns)
        if unit.camera_ns is not None and self._is_plausible(unit.camera_ns, ours_ns):
            self._last_camera_ns = unit.camera_ns
            return Stamp(mono_ns, unit.camera_ns, "rtcp", unit.media_s, REPORTED_WITHIN_S)
        return Stamp(mono_ns, ours_ns, "arrival", unit.media_s)

    def _is_plausible(self, camera_ns: int, ours_ns: int) -> bool:
        return abs(camera_ns - ours_ns) < PLAUSIBLE_S * NS_PER_S and camera_ns > self._last_camera_ns
