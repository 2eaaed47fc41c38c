"""Where a connection goes: the parts of an RTSP URL, with and without what is secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote

from stream.sources.network.url import CameraUrl

PORTS = {"rtsp": 554, "rtspu": 554, "rtsps": 322}
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.I | re.S)
_HOST = re.compile(r"\[(?P<v6>[0-9a-f:.%a-z_-]+)\](?P<tail>.*)|(?P<name>[^:\[\]\s]+)(?P<rest>.*)", re.I | re.S)


class BadAddress(ValueError):
    """A URL that leads nowhere; the message says what is wrong with it."""


@dataclass(frozen=True)
class Address:
    """A parsed URL."""

    scheme: str
    host: str
    """Without brackets."""
    port: int
    user: str | None
    """None: the URL has no credentials."""
    password: str = field(repr=False)
    uri: str
    """For requests: without credentials, and with nothing but printable ASCII."""
    url: CameraUrl
    """For messages."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadAddress. As FFmpeg, the host ends at the first ``/``, ``?`` or ``#``."""
        found = _URL.fullmatch(text.strip())
        if found is None:
            raise BadAddress("it is no URL")
        scheme, (credentials, _, place) = found["scheme"].lower(), found["authority"].rpartition("@")
        if scheme not in PORTS:
            raise BadAddress(f"{scheme}:// is not RTSP")
        host, port = _host_and_port(place, PORTS[scheme])
        user, colon, password = credentials.partition(":")
        has_user = bool(user or colon)
        uri = f"{scheme}://{place}{found['rest']}"
        printable = re.sub(r"[^\x21-\x7e]", lambda odd: quote(odd[0]), uri)
        who = unquote(user) if has_user else None
        if who is not None and not who.isprintable():
            raise BadAddress("its user name has characters that no header can carry")
        return cls(scheme, host, port, who, unquote(password), printable, CameraUrl(text.strip()))

    @property
    def is_secure(self) -> bool:
        return self.scheme == "rtsps"

    def is_same_endpoint(self, other: Address) -> bool:
        """Whether both mean the same stream of the same server, whatever the credentials."""
        return (self.host.lower(), self.port, self.uri) == (other.host.lower(), other.port, other.uri)


def _host_and_port(place: str, usual: int) -> tuple[str, int]:
    found = _HOST.fullmatch(place)
    if found is None:
        raise BadAddress("it has no host")
    rest = found["tail"] if found["v6"] else found["rest"]
    port = rest.removeprefix(":")
    if rest in ("", ":"):
        return found["v6"] or found["name"], usual
    if not (rest.startswith(":") and port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65_536):
        raise BadAddress("its port is no number from 1 to 65535")
    return found["v6"] or found["name"], int(port)
