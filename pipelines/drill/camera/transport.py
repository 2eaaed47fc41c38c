"""RTP transports: inside the RTSP connection (RFC 2326, section 10.12) or as UDP packets."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Literal, Protocol

from pipelines.drill.camera.link import Link

TransportName = Literal["tcp", "udp"]

FULL_BYTES = 1_000_000
"""Bytes: a client with this much unread data misses images until the next key frame."""
PORT_TRIES = 50


class Transport(Protocol):
    """The destination of a session's packets."""

    @property
    def header(self) -> str:
        """The value of the answer's header ``Transport``."""

    @property
    def full(self) -> bool:
        """Whether the client is so far behind that images should be left out."""

    def send(self, packets: Sequence[bytes]) -> None:
        """Send RTP packets."""

    def send_report(self, packet: bytes) -> None:
        """Send an RTCP packet."""

    def close(self) -> None: ...


class Interleaved:
    """RTP and RTCP interleaved with the answers of the RTSP connection."""

    def __init__(self, link: Link, channels: tuple[int, int]) -> None:
        self._link, self._channels = link, channels
        self.header = f"RTP/AVP/TCP;unicast;interleaved={channels[0]}-{channels[1]}"

    @property
    def full(self) -> bool:
        return self._link.waiting_bytes > FULL_BYTES

    def send(self, packets: Sequence[bytes]) -> None:
        self._link.send(b"".join(_framed(self._channels[0], packet) for packet in packets))

    def send_report(self, packet: bytes) -> None:
        self._link.send(_framed(self._channels[1], packet))

    def close(self) -> None:
        """Do nothing: the connection closes the link."""


class Datagrams:
    """RTP and RTCP over UDP from two neighbouring ports; clients' reports to them are not read."""

    full = False

    def __init__(self, own_host: str, peer_host: str, ports: tuple[int, int]) -> None:
        self._sockets = _neighbouring_sockets(own_host)
        self._peers = (peer_host, ports[0]), (peer_host, ports[1])
        own = [sock.getsockname()[1] for sock in self._sockets]
        self.header = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={own[0]}-{own[1]}"

    def send(self, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self._send(0, packet)

    def send_report(self, packet: bytes) -> None:
        self._send(1, packet)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()

    def _send(self, which: int, packet: bytes) -> None:
        with suppress(OSError):  # the client has gone, or the system's buffer is full: a network loses packets, too
            self._sockets[which].sendto(packet, self._peers[which])


def chosen_transport(wishes: str, allowed: Collection[TransportName], link: Link, peer_host: str) -> Transport | None:
    """The first allowed transport of a SETUP request; None if none is allowed (461)."""
    for wish in wishes.split(","):
        name, *rest = (part.strip() for part in wish.split(";"))
        options = {key: value for key, _, value in (part.partition("=") for part in rest)}
        if name == "RTP/AVP/TCP" and "tcp" in allowed:
            return Interleaved(link, _pair(options.get("interleaved", "")) or (0, 1))
        ports = _pair(options.get("client_port", ""))
        if name in {"RTP/AVP", "RTP/AVP/UDP"} and "udp" in allowed and ports and "multicast" not in options:
            return Datagrams(link.own_host, peer_host, ports)
    return None


def _framed(channel: int, packet: bytes) -> bytes:
    return struct.pack("!cBH", b"$", channel, len(packet)) + packet


def _pair(text: str) -> tuple[int, int] | None:
    """Parse ``8000-8001``, or ``8000`` with the same meaning."""
    first, _, second = text.partition("-")
    if not first.isdigit() or (second and not second.isdigit()):
        return None
    return int(first), int(second or int(first) + 1)


def _neighbouring_sockets(host: str) -> tuple[socket.socket, socket.socket]:
    """Sockets bound to an even port and the next one, as RFC 3550 recommends."""
    for _ in range(PORT_TRIES):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        first, second = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        if _bind(first, host, 0) and (port := first.getsockname()[1]) % 2 == 0 and _bind(second, host, port + 1):
            return first, second
        first.close()
        second.close()
    raise OSError(errno.EADDRINUSE, f"no two neighbouring UDP ports are free on {host}, {PORT_TRIES} tries")


def _bind(sock: socket.socket, host: str, port: int) -> bool:
    sock.setblocking(False)
    try:
        sock.bind((host, port))
    except OSError:
        return False
    return True
