"""The address that a server listens on: parsing of HOST:PORT, the listening socket, and the address to open."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from contextlib import suppress
from typing import NamedTuple, Self

from stream.errors import SettingsError, SinkError

LAST_PORT = 65535
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]/\s]+):(?P<port>\d{1,5})", re.ASCII)
BACKLOG = 128
STALLED_MS = 30_000
"""The kernel closes a connection whose client accepts no data for this long (Linux, tcp(7))."""
UNSENT_BYTES = 128 << 10
"""Data that the kernel accepts ahead of the network; more would only queue older images."""


class Address(NamedTuple):
    """A host without brackets, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse "127.0.0.1:8080", "[::1]:8080" or "name:8080"; port 0 means any free port. Raises SettingsError."""
        match = _HOST_PORT.fullmatch(text)
        if match is None or int(match["port"]) > LAST_PORT:
            raise SettingsError(
                f'web address "{text}": write HOST:PORT, as in 127.0.0.1:8080 (this machine only), 0.0.0.0:8080 '
                "(every network card) or [::1]:8080"
            )
        return cls(match["host"].strip("[]"), int(match["port"]))

    def __str__(self) -> str:
        return f"{in_brackets(self.host)}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach it; a host name other than localhost counts as reachable by others."""
        if self.host.lower() == "localhost":
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    @property
    def reachable(self) -> Address:
        """The address to open in a browser: for "every network card", the card on the route to other machines."""
        with suppress(ValueError):
            ip = ipaddress.ip_address(self.host)
            if ip.is_unspecified:
                return Address(_routed_ip(ip.version), self.port)
        return self


def listen(address: Address) -> socket.socket:
    """Open a listening socket at ``address``. Raises SinkError, in one line, when that is not possible."""
    try:
        resolved = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, sockaddr = resolved[0][0], resolved[0][4]
        # create_server restricts an IPv6 socket to IPv6 unless it is told otherwise.
        is_dual_stack = sockaddr[0] == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(
            (sockaddr[0], sockaddr[1]), family=family, backlog=BACKLOG, dualstack_ipv6=is_dual_stack
        )
    except OSError as error:
        raise SinkError(f"cannot listen on {address}: {_advice(error)}") from error
    _set_options(listener)
    return listener


def in_brackets(host: str) -> str:
    """The host as it is written before a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _set_options(listener: socket.socket) -> None:
    """Set the options that every accepted connection inherits.

    Without TCP_NODELAY a small response is delayed by up to 40 ms (Nagle's algorithm and delayed acknowledgements).
    """
    for option, value in (("TCP_USER_TIMEOUT", STALLED_MS), ("TCP_NOTSENT_LOWAT", UNSENT_BYTES), ("TCP_NODELAY", 1)):
        if hasattr(socket, option):  # Linux has all three, other systems do not
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _routed_ip(version: int) -> str:
    """This machine's own IP on the default route. Connecting a datagram socket looks up the route, sends nothing."""
    family, remote, fallback = (
        # Addresses for documentation (RFC 5737, RFC 3849), which are routed like any other and belong to no host.
        (socket.AF_INET, "192.0.2.1", "127.0.0.1") if version == 4 else (socket.AF_INET6, "2001:db8::1", "::1")
    )
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as route:
        route.connect((remote, 9))
        return str(route.getsockname()[0])
    return fallback


def _advice(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no machine has this name; write an address of this machine (ip addr lists them)"
    by_errno = {
        errno.EADDRINUSE: "another program listens there (ss -ltnp shows which); stop it, or choose another port",
        errno.EADDRNOTAVAIL: "no network card of this machine has this address (ip addr lists them)",
        errno.EACCES: "this user has no permission; choose a port above 1023",
    }
    return by_errno.get(error.errno or 0, f"{error.strerror}")
