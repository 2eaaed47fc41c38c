"""The address of something on a web server, in the parts that a request needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urljoin, urlsplit

PORTS = {"http": 80, "https": 443}
_AS_WRITTEN = "%/?:@!$&'()*+,;=~#[]|^{}\\"
"""Characters of path and query that are sent as they are; spaces and control characters never are."""


@dataclass(frozen=True)
class Address:
    """Made by ``Address.parse``."""

    url: str = field(repr=False)
    """The whole, with its secrets."""
    scheme: str
    """http or https."""
    host: str
    """A name in ASCII or a number, an IPv6 one without brackets."""
    port: int
    target: str
    """Path and query as the request names them."""
    user: str | None
    """Decoded; None: there are no credentials."""
    password: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ValueError with a reason that contains nothing of the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
            host = _in_ascii(parts.hostname or "")
        except ValueError:
            raise ValueError("the address makes no sense; check its host and port") from None
        scheme = parts.scheme.lower()
        if scheme not in PORTS:
            raise ValueError("the address does not begin with http:// or https://")
        if not host or port == 0:
            raise ValueError(f"the address has no {'port' if host else 'host'}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        user = None if parts.username is None else unquote(parts.username)
        target = quote(path, safe=_AS_WRITTEN)
        return cls(url, scheme, host, port or PORTS[scheme], target, user, unquote(parts.password or ""))

    def follow(self, location: str) -> Address:
        """The address that a redirect names, absolute or relative. Raises ValueError as ``parse``."""
        without_user = f"{self.scheme}://{self.host_header}{self.target}"
        try:
            url = urljoin(without_user, location)
        except ValueError:
            raise ValueError("the address makes no sense") from None
        return self.parse(url)

    @property
    def host_header(self) -> str:
        """The value of ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def _in_ascii(host: str) -> str:
    """Raises ValueError if ``host`` cannot be the name or number of a host."""
    if ":" in host:
        return host
    if any(character <= " " or character in "\x7f%" for character in host):
        raise ValueError("a character that no host has")
    return host.encode("idna").decode()
