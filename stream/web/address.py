"""Where a server listens: HOST:PORT as people write it, a socket, and the address to open."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from contextlib import suppress
from typing import NamedTuple, Self

from stream.errors import SettingsError, SinkError

LAST_PORT = 65535
_WRITTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]/\s]+):(?P<port>\d{1,5})", re.ASCII)
BACKLOG = 128
STALLED_MS = 30_000
"""A connection whose other side takes nothing for so long is cut off by the kernel (Linux, tcp(7))."""
UNSENT_BYTES = 128 << 10
"""What the kernel takes ahead of the network: more would only be older images."""


class Address(NamedTuple):
    """A host without brackets, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """ "127.0.0.1:8080", "[::1]:8080", "name:8080"; port 0: any free one. Raises SettingsError."""
        written = _WRITTEN.fullmatch(text)
        if written is None or int(written["port"]) > LAST_PORT:
            raise SettingsError(
                f'web address "{text}": write HOST:PORT, as in 127.0.0.1:8080 (this machine only), 0.0.0.0:8080 '
                "(every network card) or [::1]:8080"
            )
        return cls(written["host"].strip("[]"), int(written["port"]))

    def __str__(self) -> str:
        return f"{in_brackets(self.host)}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Nobody but this machine can reach it; a name other than localhost counts as reachable."""
        if self.host.lower() == "localhost":
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    @property
    def reachable(self) -> Address:
        """For people to open: of "every network card", the one on the way to other machines."""
        with suppress(ValueError):
            ip = ipaddress.ip_address(self.host)
            if ip.is_unspecified:
                return Address(_own_ip(ip.version), self.port)
        return self


def listen(address: Address) -> socket.socket:
    """A socket that takes connections from now on. Raises SinkError, in one line."""
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, where = found[0][0], found[0][4]
        is_every = where[0] == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server((where[0], where[1]), family=family, backlog=BACKLOG, dualstack_ipv6=is_every)
    except OSError as error:
        raise SinkError(f"cannot listen on {address}: {_trouble(error)}") from error
    _keep_fresh(listener)
    return listener


def in_brackets(host: str) -> str:
    """As hosts are written before a port: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _keep_fresh(listener: socket.socket) -> None:
    """Connections that it takes inherit all; without TCP_NODELAY a small answer waits 40 ms for company (Nagle)."""
    for option, value in (("TCP_USER_TIMEOUT", STALLED_MS), ("TCP_NOTSENT_LOWAT", UNSENT_BYTES), ("TCP_NODELAY", 1)):
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _own_ip(version: int) -> str:
    """No packet is sent: a datagram socket only looks up the route."""
    family, far, this = (
        (socket.AF_INET, "192.0.2.1", "127.0.0.1") if version == 4 else (socket.AF_INET6, "2001:db8::1", "::1")
    )
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as route:
        route.connect((far, 9))
        return str(route.getsockname()[0])
    return this


def _trouble(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no machine has this name; write an address of this machine (ip addr lists them)"
    told = {
        errno.EADDRINUSE: "another program listens there (ss -ltnp shows which); stop it, or choose another port",
        errno.EADDRNOTAVAIL: "no network card of this machine has this address (ip addr lists them)",
        errno.EACCES: "this user may not; choose a port above 1023",
    }
    return told.get(error.errno or 0, f"{error.strerror}")
