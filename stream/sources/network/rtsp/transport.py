"""The way of RTP packets from the camera: inside the RTSP connection, or as UDP datagrams to two ports of ours."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from stream.sources.network.arrival import ANCILLARY_BYTES, arrived_ns, keep_arrival_times
from stream.sources.network.rtsp.rtcp import receiver_report

PORT_TRIES = 50
LARGEST_DATAGRAM = 65_536
RECEIVE_BUFFER_BYTES = 4 << 20
"""Bytes, as far as the system allows: a key frame at 4K comes in one burst of up to 2 MB."""
SO_RXQ_OVFL = 40
"""asm-generic/socket.h: how many datagrams the system dropped because we did not read."""
DATAGRAMS_AT_ONCE = 64
"""After so many the other sockets have their turn."""

OnDatagram = Callable[[memoryview, int], None]
"""Called with a datagram, which is valid during the call, and its arrival, CLOCK_MONOTONIC, nanoseconds."""


@dataclass(frozen=True)
class Granted:
    """The header ``Transport`` of the answer to SETUP."""

    protocol: str
    """In upper case: RTP/AVP/TCP, RTP/AVP, ..."""
    channels: tuple[int, int] | None
    server_ports: tuple[int, int] | None
    source: str
    """The host that sends, if it is another one; else empty."""


def parse_transport(header: str) -> Granted:
    """Read it, whatever it is."""
    name, *rest = header.partition(",")[0].split(";")
    options = {key.strip().lower(): value.strip() for key, _, value in (part.partition("=") for part in rest)}
    channels, ports = _pair(options.get("interleaved", ""), 255), _pair(options.get("server_port", ""), 65_535)
    return Granted(name.strip().upper(), channels, ports, options.get("source", "").strip("[]"))


def interleaved_wish() -> str:
    """Ask for packets inside the connection."""
    return "RTP/AVP/TCP;unicast;interleaved=0-1"


class Ports:
    """Two UDP sockets at neighbouring ports, RTP at the even one (RFC 3550, section 11)."""

    def __init__(self, own_host: str, family: socket.AddressFamily) -> None:
        """``own_host``: this machine's address towards the camera. Raises OSError if there are no free ports."""
        self.media, self.control = _neighbours(own_host, family)
        self._buffer = bytearray(LARGEST_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._peers: frozenset[str] = frozenset()
        self._control_peer: tuple[str, int] | None = None
        self.dropped = 0
        """Datagrams that the system dropped because we did not read in time."""
        with suppress(OSError):
            self.media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        with suppress(OSError):
            self.media.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        for sock in (self.media, self.control):
            keep_arrival_times(sock)

    @property
    def wish(self) -> str:
        """The value of ``Transport`` in a request."""
        first = self.media.getsockname()[1]
        return f"RTP/AVP;unicast;client_port={first}-{first + 1}"

    def expect(self, granted: Granted, peer_host: str) -> None:
        """Take datagrams from the camera only, and open the way for them through routers between us."""
        hosts = {peer_host, granted.source} if _is_address(granted.source) else {peer_host}
        self._peers = frozenset(map(_plain, hosts))
        if granted.server_ports is not None:
            first, second = granted.server_ports
            # Always to the camera itself: another host that it names may be one that wants no packets from us.
            self._control_peer = peer_host, second
            with suppress(OSError):
                # An empty RTP packet and an empty report: what players commonly send first.
                self.media.sendto(struct.pack("!BBHII", 0x80, 0, 0, 0, 0), (peer_host, first))
                self.control.sendto(receiver_report(0, None), (peer_host, second))

    def read(self, sock: socket.socket, on_datagram: OnDatagram) -> None:
        """Pass on what waits at one of the sockets."""
        view, peers = self._view, self._peers
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                count, ancillary, _, (host, *_) = sock.recvmsg_into([self._buffer], ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:  # an ICMP message about what we sent
                continue
            if len(ancillary) > 1:
                self._note_drops(ancillary)
            if host in peers or _plain(host) in peers:
                on_datagram(view[:count], arrived_ns(ancillary))

    def send_report(self, packet: bytes) -> None:
        if self._control_peer is not None:
            with suppress(OSError):
                self.control.sendto(packet, self._control_peer)

    def close(self) -> None:
        self.media.close()
        self.control.close()

    def _note_drops(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL and len(data) >= 4:
                (self.dropped,) = struct.unpack_from("@I", data)


class _Neighbours(NamedTuple):
    media: socket.socket
    control: socket.socket


def _neighbours(host: str, family: socket.AddressFamily) -> _Neighbours:
    for port in _even_ports(host, family):
        sockets: list[socket.socket] = []
        try:
            for number in (port, port + 1):
                sockets.append(sock := socket.socket(family, socket.SOCK_DGRAM))
                sock.setblocking(False)
                sock.bind((host, number))
        except OSError:
            for sock in sockets:
                sock.close()
        else:
            return _Neighbours(*sockets)
    raise OSError(f"no two neighbouring UDP ports are free, in {PORT_TRIES} tries")


def _even_ports(host: str, family: socket.AddressFamily) -> Iterator[int]:
    """Ports that were free a moment ago."""
    for _ in range(PORT_TRIES):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if port % 2 == 0:
            yield port


def _pair(text: str, most: int) -> tuple[int, int] | None:
    """``8000-8001``, or ``8000`` with the same meaning; None if it makes no sense."""
    found = re.match(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5}))?", text)
    if found is None:
        return None
    first, second = int(found[1]), int(found[2] or int(found[1]) + 1)
    return (first, second) if max(first, second) <= most else None


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return host not in ("0.0.0.0", "::")  # which some cameras name as their own
    return False


def _plain(host: str) -> str:
    """Without the scope of a link-local address and the prefix of an IPv4 address in IPv6."""
    return host.partition("%")[0].removeprefix("::ffff:")
