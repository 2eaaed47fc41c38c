"""The camera's two clocks: RTP time stamps, unwrapped, and its wall clock by sender reports."""

from __future__ import annotations

from stream.core.clock import NS_PER_S
from stream.sources.network.access_unit import CameraReport
from stream.sources.network.rtsp.rtcp import SenderReport


class MediaClock:
    """The time line of one stream of RTP packets."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._ticks: int | None = None
        self._report: tuple[int, int] | None = None
        """Ticks, and nanoseconds since 1970 of the camera's clock."""
        self._early: tuple[SenderReport, int] | None = None

    def unwrap(self, stamp: int) -> int:
        """The ticks of a packet with this time stamp of 32 bits: the nearest to those of the packet before it."""
        ticks = stamp if self._ticks is None else self._nearest(stamp, self._ticks)
        self._ticks = ticks
        return ticks

    def media_s(self, ticks: int) -> float:
        return ticks / self.rate_hz

    def camera_ns(self, ticks: int) -> int | None:
        """The camera's clock at ``ticks``, nanoseconds since 1970; None before its first report."""
        if self._report is None:
            return None
        at, camera_ns = self._report
        return camera_ns + (ticks - at) * NS_PER_S // self.rate_hz

    def take(self, report: SenderReport, arrived_ns: int) -> CameraReport | None:
        """Take a report; None while there is no packet yet whose time line it could belong to: see ``early``."""
        if self._ticks is None:
            self._early = report, arrived_ns
            return None
        ticks = self._nearest(report.rtp_time, self._ticks)
        self._report = ticks, report.camera_ns
        return CameraReport(arrived_ns, report.camera_ns, self.media_s(ticks))

    def early(self) -> CameraReport | None:
        """The report that came before the first packet, once, after that."""
        if self._early is None or self._ticks is None:
            return None
        (report, arrived_ns), self._early = self._early, None
        return self.take(report, arrived_ns)

    def restart(self) -> None:
        """The camera started a new stream: its old reports say nothing of it, and time goes on from its first stamp."""
        self._report = self._early = None

    @staticmethod
    def _nearest(stamp: int, ticks: int) -> int:
        return ticks + ((stamp - ticks + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
