"""The reader of RTSP cameras: an open session whose packets become access units."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from secrets import randbits
from time import monotonic_ns
from typing import TYPE_CHECKING

from stream.core.clock import NS_PER_MS, NS_PER_S, Deadline
from stream.errors import SourceError
from stream.settings import NetworkCamera
from stream.sources.network.access_unit import AccessUnit, CameraReport, TimeLine
from stream.sources.network.rtsp.assembly import Assembly, Payloads
from stream.sources.network.rtsp.dating import Backlog
from stream.sources.network.rtsp.errors import UnsupportedCodec
from stream.sources.network.rtsp.media_clock import MediaClock
from stream.sources.network.rtsp.messages import Message, Packet, ProtocolError
from stream.sources.network.rtsp.opening import Opening, size_of
from stream.sources.network.rtsp.payloads.h264 import H264Payloads
from stream.sources.network.rtsp.payloads.h265 import H265Payloads
from stream.sources.network.rtsp.payloads.jpeg import JpegPayloads
from stream.sources.network.rtsp.rtcp import receiver_report, sender_reports
from stream.sources.network.rtsp.rtp import RtpReceiver
from stream.sources.network.rtsp.sdp import Track
from stream.sources.network.url import CameraUrl

if TYPE_CHECKING:
    from _typeshed import HasFileno

__all__ = ["RtspReader", "UnsupportedCodec"]

log = logging.getLogger(__name__)

SLICE_NS = 50 * NS_PER_MS
"""One wait: after each it is known that nothing waited in the socket (see dating.py)."""
REPORT_EVERY_NS = 5 * NS_PER_S
"""Receiver reports: some cameras stop without them."""
MOST_EARLY, MOST_EARLY_BYTES = 300, 32 << 20
"""Images and reports before the answer to PLAY, and bytes of packets; more are left out."""
MOST_BACKLOG = 8 << 20
"""Bytes that are dated together."""
SENDING_S = 0.5
CLOSING_S = 0.3


class RtspReader:
    """An open RTSP session with one video track; see ``access_unit.Reader``.

    Raises AccessDenied, SourceError, TransportRefused, and UnsupportedCodec for what only FFmpeg's reader knows.
    """

    time_line: TimeLine = "rtp"
    is_recording = False

    def __init__(self, settings: NetworkCamera, url: CameraUrl) -> None:
        self._waker, self._awake = _wakers(url)
        try:
            self._open(Opening(settings, url))
        except BaseException:
            self._close_wakers()
            raise

    def _open(self, opening: Opening) -> None:
        described = opening.describe()
        track = opening.choose(described)
        self._playing = playing = opening.set_up(described, track)
        self._dialogue, self._connection, self._blame = described.dialogue, described.connection, described.blame
        self.codec = track.codec or ""
        self.extradata = track.extradata
        self.size = size_of(track)
        self.stated_fps = track.fps
        self._items: deque[AccessUnit | CameraReport] = deque()
        self._clock = MediaClock(track.rate_hz)
        assembly = Assembly(_payloads(track), self._clock, self._items.append)
        self._rtp = RtpReceiver(track.payload_type, self._clock, assembly, reorders=playing.ports is not None)
        self._dialogue.on_packet = self._on_packet
        self._ssrc = randbits(32)
        self._told_drops = False
        self._early_bytes = 0
        self._media_channel, self._control_channel = playing.channels
        self._interrupted = threading.Event()
        opening.play(playing)  # packets may come before its answer
        self._keep_alive = "GET_PARAMETER" if "GET_PARAMETER" in described.methods else "OPTIONS"
        now_ns = monotonic_ns()
        self._report_at_ns = now_ns + REPORT_EVERY_NS
        self._ask_every_ns = int(playing.timeout_s * NS_PER_S / 2)
        self._ask_at_ns = now_ns + self._ask_every_ns

    def items(self) -> Iterator[AccessUnit | CameraReport]:
        """See Reader.items; raises AccessDenied and SourceError."""
        with selectors.DefaultSelector() as selector:
            for sock in self._sockets():
                selector.register(sock, selectors.EVENT_READ)
            self._take_messages(self._connection.first_ns)  # what came together with the answer to PLAY
            while not self._interrupted.is_set():
                while self._items:
                    yield self._items.popleft()
                    if self._interrupted.is_set():
                        return
                try:
                    self._step(selector)
                except (EOFError, ProtocolError, OSError) as error:
                    yield from self._rest()
                    if isinstance(error, EOFError):
                        return
                    raise self._broken(error) from None

    def interrupt(self) -> None:
        """See Reader.interrupt."""
        self._interrupted.set()
        with suppress(OSError):  # closed already
            self._waker.send(b"\0")

    def close(self) -> None:
        """End the session politely, within half a second."""
        with suppress(SourceError, ProtocolError, OSError, EOFError):
            deadline = Deadline.after(CLOSING_S)
            self._dialogue.on_packet = lambda _: None
            self._dialogue.ask("TEARDOWN", self._playing.described.session_uri, deadline)
        self._connection.close()
        if self._playing.ports is not None:
            self._playing.ports.close()
        self._close_wakers()

    def _close_wakers(self) -> None:
        self._waker.close()
        self._awake.close()

    def _sockets(self) -> list[HasFileno]:
        ports = self._playing.ports
        return [self._connection, self._awake, *([ports.media, ports.control] if ports is not None else [])]

    def _rest(self) -> Iterator[AccessUnit | CameraReport]:
        while self._items and not self._interrupted.is_set():
            yield self._items.popleft()

    def _broken(self, error: Exception) -> SourceError:
        if isinstance(error, ProtocolError):
            return self._blame.reading(str(error))
        if isinstance(error, ConnectionError):
            return self._blame.reading("the camera cut the connection")
        return self._blame.reading(getattr(error, "strerror", None) or "the camera does not take our requests")

    def _step(self, selector: selectors.BaseSelector) -> None:
        """Wait for data or the next thing to do, and do it."""
        now_ns = monotonic_ns()
        until_ns = min(now_ns + SLICE_NS, self._rtp.held_until_ns or now_ns + SLICE_NS)
        timeout_s = 0.0 if self._connection.has_more else max(0.0, (until_ns - now_ns) / NS_PER_S)
        ready = [key.fileobj for key, _ in selector.select(timeout_s)]
        if self._connection in ready or self._connection.has_more:
            self._receive()
        else:
            # The start of the wait and its length: this process may have been stopped since its end.
            self._connection.nothing_waits(now_ns if ready else until_ns)
        ports = self._playing.ports
        if ports is not None:
            if ports.control in ready:
                ports.read(ports.control, self._on_control)
            if ports.media in ready:
                ports.read(ports.media, self._rtp.packet)
                self._early_report()
            self._rtp.give_up(monotonic_ns())
        if now_ns >= self._report_at_ns:
            self._send_report(now_ns)
        if now_ns >= self._ask_at_ns:
            self._ask_at_ns = now_ns + self._ask_every_ns
            self._dialogue.send(self._keep_alive, self._playing.described.session_uri, Deadline.after(SENDING_S))

    def _receive(self) -> None:
        """Take what waits in the connection."""
        connection = self._connection
        taken = connection.read()
        backlog = Backlog(connection.empty_ns, connection.first_ns, connection.last_ns)
        if backlog.is_none:
            self._take_messages(connection.first_ns)
            return
        self._take_messages(connection.last_ns)
        while not connection.is_drained and taken < MOST_BACKLOG and (count := connection.read()):
            taken += count
            self._take_messages(connection.last_ns)
        if (last_media_s := self._rtp.last_media_s) is not None:
            items = backlog._replace(last_ns=connection.last_ns).redated(self._items, last_media_s)
            self._items.clear()
            self._items.extend(items)

    def _take_messages(self, arrived_ns: int) -> None:
        """Everything that is complete in the connection's buffer."""
        packet, channel = self._rtp.packet, self._media_channel
        for item in self._connection.incoming:
            if isinstance(item, Packet):
                if item.channel == channel:
                    packet(item.data, arrived_ns)
                elif item.channel == self._control_channel:
                    self._on_control(item.data, arrived_ns)
            else:
                self._on_message(item)
        self._early_report()

    def _on_packet(self, item: Packet) -> None:
        """A packet that comes before the answer to PLAY."""
        self._early_bytes += len(item.data)
        if len(self._items) >= MOST_EARLY or self._early_bytes > MOST_EARLY_BYTES:
            return
        if item.channel == self._media_channel:
            self._rtp.packet(item.data, self._connection.first_ns)
        elif item.channel == self._control_channel:
            self._on_control(item.data, self._connection.first_ns)

    def _on_control(self, data: memoryview, arrived_ns: int) -> None:
        for report in sender_reports(data):
            if self._rtp.reported(report, arrived_ns) and (item := self._clock.take(report, arrived_ns)) is not None:
                self._items.append(item)

    def _early_report(self) -> None:
        if (item := self._clock.early()) is not None:
            self._items.append(item)

    def _on_message(self, message: Message) -> None:
        answered = self._dialogue.take(message)
        if self._dialogue.has_ended:
            raise EOFError
        if answered is None or answered.status < 400:
            return
        if answered.status == 454:
            raise self._blame.session_gone()
        # Some cameras list GET_PARAMETER and refuse it; every request keeps the session alive.
        self._keep_alive = "OPTIONS"

    def _send_report(self, now_ns: int) -> None:
        self._report_at_ns = now_ns + REPORT_EVERY_NS
        self._tell_drops()
        reception = self._rtp.reception(now_ns)
        if reception is None:
            return
        report = receiver_report(self._ssrc, reception)
        if self._playing.ports is not None:
            self._playing.ports.send_report(report)
        else:
            head = bytes((0x24, self._control_channel)) + len(report).to_bytes(2, "big")
            self._connection.send_now(head + report)

    def _tell_drops(self) -> None:
        """Say once that packets get lost in this machine, not on the way to it."""
        ports = self._playing.ports
        if ports is not None and ports.dropped and not self._told_drops:
            self._told_drops = True
            log.warning(
                "%s: this machine dropped %d UDP packets, because it read too late or its receive buffer is small; "
                "set transport to tcp, or raise the system's net.core.rmem_max",
                self._blame.label,
                ports.dropped,
            )


def _wakers(url: CameraUrl) -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair()
    except OSError as error:
        raise SourceError(f"{url.label}: cannot be opened: {error.strerror}; close other programs") from None


def _payloads(track: Track) -> Payloads:
    if track.codec == "h264":
        return H264Payloads()
    if track.codec == "hevc":
        return H265Payloads(numbered=track.format.get("sprop-max-don-diff", "0") not in ("", "0"))
    return JpegPayloads(track.size)
