"""Checks of the Host and Origin headers, which keep other sites' scripts out.

A page of another site can make a browser send requests to this server, also under a name of its own that it resolves to
our address (DNS rebinding). Such a request carries that name as its Host, and an Origin that is not ours.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[\w.:-]{1,253}", re.ASCII)


def is_own_host(host: str, names: Iterable[str], local: str) -> bool:
    """True if a Host header names this server: by ``names``, localhost, or the connection's local address ``local``.

    The port is ignored, because a tunnel may use another one.
    """
    name = _host_name(f"//{host}")
    known = {_normalised(known) for known in (*names, *LOOPBACK_NAMES, local)}
    return name is not None and _normalised(name) in known


def machine_names() -> tuple[str, ...]:
    """Names of this machine in its network: the host name, its first label, and the mDNS name (RFC 6762)."""
    name = socket.gethostname()
    short = name.partition(".")[0]
    return (name, short, f"{short}.local") if short else ()


def printable_host(host: str) -> str | None:
    """The name in a Host header, or None if it is not safe to repeat in a response."""
    name = _host_name(f"//{host}")
    return name if name and _HOST_NAME.fullmatch(name) else None


def is_same_origin(origin: str, host: str) -> bool:
    """True if ``origin`` (scheme://name:port) is a page of the server that was called as ``host``."""
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        default = DEFAULT_PORTS.get(page.scheme)
        ports = page.port or default, server.port or default
    except ValueError:
        return False
    # "null", the origin of sandboxed frames and of local files, has no scheme and equals no server.
    return default is not None and page.hostname is not None and page.hostname == server.hostname and len({*ports}) == 1


def _host_name(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises ValueError for a port that is not a number
    except ValueError:
        return None
    return parts.hostname if not (parts.path or parts.query or parts.fragment or parts.username) else None


def _normalised(name: str) -> str:
    """Lower case, without brackets and trailing dot; an IPv4 address that came over IPv6 becomes plain IPv4."""
    plain = name.strip("[]").rstrip(".").lower()
    with suppress(ValueError):
        ip = ipaddress.ip_address(plain)
        return str(getattr(ip, "ipv4_mapped", None) or ip)
    return plain
