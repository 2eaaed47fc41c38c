"""The address of a network camera, and everything that knows which of its parts are secrets."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from stream.core.log import redact

SHORTEST_SECRET = 4
"""Characters; anything shorter would black out innocent words, too."""
LAVFI = "lavfi:"

_USER_INFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^:@/?#]*)(?::(?P<password>.*))?@", re.I | re.S)
_ASSIGNED = re.compile(
    r"(?P<key>(?:pass(?:word|wd)?|pwd|token|secret|auth|key|sig(?:nature)?)=)(?P<value>.+?)"
    r"(?=_channel=|_stream=|[&;#\"']|[:,.)]*(?:\s|$))",
    re.I,
)
"""Of queries (``?user=a&pwd=b``), and of the many cameras with a path like ``user=a_password=b_channel=1_stream=0``."""


class CameraUrl:
    """A URL as the user wrote it, which is never shown, and what may be shown in its place."""

    def __init__(self, url: str) -> None:
        self.full = url
        """For FFmpeg only."""
        found = _USER_INFO.match(url)  # to the last "@": a password with a "/" in it must not be shown either
        self.has_credentials = found is not None
        self.is_ambiguous = found is not None and not set("/?#").isdisjoint(found["password"] or "")
        """FFmpeg ends the host at the first ``/``, ``?`` or ``#``, be it in the middle of a password."""
        self._secrets = _spellings([found["password"] or ""] if found else [])
        self._secrets += _spellings([assigned["value"] for assigned in _ASSIGNED.finditer(url)])
        hidden = f"{found['scheme']}{found['user']}:***@{url[found.end() :]}" if found and found["password"] else url
        self.label = _without_assigned(hidden)
        """The URL with ``***`` in place of every password and token."""

    @property
    def scheme(self) -> str:
        """``rtsp``, ``http``, ``udp``, ..., ``lavfi``; empty for the path of a file."""
        if self.full.startswith(LAVFI):
            return "lavfi"
        scheme, separator, _ = self.full.partition("://")
        return scheme.lower() if separator else ""

    def place(self) -> tuple[str, str | None]:
        """Host and port as FFmpeg reads them, as text; None: no port is given. Any part of them may be a password."""
        authority = re.split(r"[/?#]", self.full.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
        if authority.startswith("[") and "]" in authority:
            host, _, rest = authority[1:].partition("]")
            return host, rest.removeprefix(":") if rest else None
        host, colon, port = authority.partition(":")
        return host, port if colon else None

    def scrub(self, text: str) -> str:
        """``text`` on one line, without the secrets of this URL or of any other, in whatever spelling."""
        text = " ".join(text.replace(self.full, self.label).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _without_assigned(redact(text))

    def __repr__(self) -> str:
        return f"CameraUrl({self.label!r})"


def _spellings(secrets: list[str]) -> list[str]:
    """As written, decoded and percent-encoded, the longest first."""
    spelt = {form for secret in secrets for form in (secret, unquote(secret), quote(unquote(secret), safe=""))}
    return sorted((form for form in spelt if len(form) >= SHORTEST_SECRET), key=len, reverse=True)


def _without_assigned(text: str) -> str:
    return _ASSIGNED.sub(lambda found: f"{found['key']}***", text)
