"""By which names this server may be called, and from which pages: what keeps other sites' scripts out.

A page of another site can make a browser send requests here, also under a name of its own that it points at us (DNS
rebinding). Its Host then is that name, and its Origin is not ours.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

OWN_NAMES = ("localhost", "127.0.0.1", "::1")
PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[\w.:-]{1,253}", re.ASCII)


def is_own_host(host: str, names: Iterable[str], local: str) -> bool:
    """Whether a Host header names us: ``names``, localhost, or the address ``local`` that the connection came to.

    The port does not matter: a tunnel may have another one.
    """
    called = _name(f"//{host}")
    known = {_plain(name) for name in (*names, *OWN_NAMES, local)}
    return called is not None and _plain(called) in known


def machine_names() -> tuple[str, ...]:
    """What people in the same network call this machine: its own name, alone and as mDNS has it (RFC 6762)."""
    name = socket.gethostname()
    short = name.partition(".")[0]
    return (name, short, f"{short}.local") if short else ()


def named(host: str) -> str | None:
    """The name in a Host header, if it is one that may be repeated in an answer."""
    called = _name(f"//{host}")
    return called if called and _HOST_NAME.fullmatch(called) else None


def is_same_origin(origin: str, host: str) -> bool:
    """Whether ``origin`` (scheme://name:port) is a page of the server that was called as ``host``."""
    try:
        page, own = urlsplit(origin), urlsplit(f"//{host}")
        default = PORTS.get(page.scheme)
        ports = page.port or default, own.port or default
    except ValueError:
        return False
    return default is not None and page.hostname is not None and page.hostname == own.hostname and len({*ports}) == 1


def _name(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts.hostname if not (parts.path or parts.query or parts.fragment or parts.username) else None


def _plain(name: str) -> str:
    """One spelling of each: no brackets, no dot at the end, IPv4 as such also when it came over IPv6."""
    plain = name.strip("[]").rstrip(".").lower()
    with suppress(ValueError):
        ip = ipaddress.ip_address(plain)
        return str(getattr(ip, "ipv4_mapped", None) or ip)
    return plain
