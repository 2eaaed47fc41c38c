"""The URL of a network camera; everything that knows which of its parts are secret lives here."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from stream.core.log import redact

SHORTEST_SECRET = 4
"""Characters; replacing shorter secrets would hide ordinary words, too."""
LAVFI = "lavfi:"
"""Prefix of a pattern that FFmpeg's filters generate."""

_USER_INFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^:@/?#]*)(?::(?P<password>.*))?@", re.I | re.S)
_ASSIGNED = re.compile(
    r"(?P<key>(?:pass(?:word|wd)?|pwd|token|secret|auth|key|sig(?:nature)?)=)(?P<value>.+?)"
    r"(?=_channel=|_stream=|[&;#\"']|[:,.)]*(?:\s|$))",
    re.I,
)
"""Secrets in queries (``?user=a&pwd=b``) and in paths like ``user=a_password=b_channel=1_stream=0`` of many cameras."""


class CameraUrl:
    """A URL as the user wrote it, which is never shown, with the redacted text to show in its place."""

    def __init__(self, url: str) -> None:
        self.full = url
        """The URL with its secrets, for FFmpeg only."""
        found = _USER_INFO.match(url)  # up to the last "@", because a password with a raw "/" must be hidden, too
        self.has_credentials = found is not None
        self.is_ambiguous = found is not None and not set("/?#").isdisjoint(found["password"] or "")
        """FFmpeg ends the host at the first ``/``, ``?`` or ``#``, even in the middle of a password."""
        self._secrets = _spellings([found["password"] or ""] if found else [])
        self._secrets += _spellings([assigned["value"] for assigned in _ASSIGNED.finditer(url)])
        hidden = f"{found['scheme']}{found['user']}:***@{url[found.end() :]}" if found and found["password"] else url
        self.label = _without_assigned(hidden)
        """The URL with ``***`` in place of every password and token."""

    @property
    def scheme(self) -> str:
        """The scheme in lower case: ``rtsp``, ``http``, ``udp``, ..., ``lavfi``; empty for the path of a file."""
        if self.full.startswith(LAVFI):
            return "lavfi"
        scheme, separator, _ = self.full.partition("://")
        return scheme.lower() if separator else ""

    def host_and_port(self) -> tuple[str, str | None]:
        """Host and port as FFmpeg parses them, as text; the port is None if the URL has none.

        Either may be part of a badly encoded password.
        """
        authority = re.split(r"[/?#]", self.full.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
        if authority.startswith("[") and "]" in authority:
            host, _, rest = authority[1:].partition("]")
            return host, rest.removeprefix(":") if rest else None
        host, colon, port = authority.partition(":")
        return host, port if colon else None

    def scrub(self, text: str) -> str:
        """``text`` on one line, without the secrets of this URL or of any other, encoded or not."""
        text = " ".join(text.replace(self.full, self.label).split())
        for secret in self._secrets:
            text = re.sub(re.escape(secret), "***", text, flags=re.I)  # some of a camera's words are shown in one case
        return _without_assigned(redact(text))

    def __repr__(self) -> str:
        return f"CameraUrl({self.label!r})"


def _spellings(secrets: list[str]) -> list[str]:
    """Each secret as written, decoded and percent-encoded, the longest first, so that none hides part of another."""
    forms = {form for secret in secrets for form in (secret, unquote(secret), quote(unquote(secret), safe=""))}
    return sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=len, reverse=True)


def _without_assigned(text: str) -> str:
    return _ASSIGNED.sub(lambda found: f"{found['key']}***", text)
