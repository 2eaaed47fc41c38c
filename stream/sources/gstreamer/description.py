"""The text of a pipeline as the user wrote it; everything that knows which of its parts are secret lives here."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from stream.core.log import one_line
from stream.sources.network.url import SHORTEST_SECRET, CameraUrl

SINK = "depthstream"
"""Name of the appsink that is appended."""
LABEL_CHARS = 160

_VALUE = r"\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|(?:\\.|[^\s\\])+"
_ASSIGNMENT = re.compile(rf"(?P<key>[A-Za-z][\w:-]*)(?P<equals>\s*=\s*)(?P<value>{_VALUE})", re.S)
"""One property of an element; a value with spaces is quoted, or has a backslash before each."""
_SECRET_NAME = (
    r"(?:[\w-]*(?:passphrase|passwd|password|secret)"
    r"|(?:[\w-]+[-_])?(?:pw|pwd|pass|token|access-key|authentication|user-id|proxy-id|headers|cookies|streamid))"
)
_SECRET_KEY = re.compile(rf"{_SECRET_NAME}\Z", re.I)
_IN_QUERY = re.compile(rf"(?P<key>[?&;]{_SECRET_NAME}=)(?P<value>[^&;\s\"']+)", re.I)
"""Secrets that only GStreamer's elements take in addresses, such as srtsrc's passphrase."""
_LAST_SINK = re.compile(r"(?:^|!)\s*appsink\b[^!]*\Z")


class Description:
    """A description for ``gst-launch-1.0``, which is never shown, with redacted text to show in its place."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._secrets = _spellings(_secrets_of(text))
        self._urls = [CameraUrl(value) for value in _values(text) if "://" in value]
        first, mark, _ = self._text.partition(" ! ")
        shown = one_line(self.scrub(first))
        short = shown if len(shown) <= LABEL_CHARS else f"{shown[:LABEL_CHARS]}..."
        self.label = f"{short} ! ..." if mark else short
        """The first element with ``***`` in place of every secret, for messages."""

    @property
    def has_own_sink(self) -> bool:
        """Whether it ends in an appsink of its own."""
        return _LAST_SINK.search(self._text) is not None

    @property
    def full(self) -> str:
        """The whole description with its secrets and its sink, for GStreamer only."""
        if self.has_own_sink:
            return self._text
        return f"{self._text.rstrip('! ')} ! videoconvert ! video/x-raw,format=BGR ! appsink name={SINK}"

    @property
    def redacted(self) -> str:
        """The description as it was written, with ``***`` in place of every secret."""
        return self._hide(self._text)

    def scrub(self, text: str) -> str:
        """``text`` on one line, without the secrets of this description, encoded or not."""
        return one_line(self._hide(text))

    def _hide(self, text: str) -> str:
        for url in self._urls:
            text = url.scrub(text)
        text = _ASSIGNMENT.sub(_hidden, _IN_QUERY.sub(lambda found: f"{found['key']}***", text))
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def __repr__(self) -> str:
        return f"Description({self.label!r})"


def _values(text: str) -> list[str]:
    return [_unquoted(found["value"]) for found in _ASSIGNMENT.finditer(text)]


def _secrets_of(text: str) -> list[str]:
    properties = [found for found in _ASSIGNMENT.finditer(text) if _SECRET_KEY.match(found["key"])]
    return [_unquoted(found["value"]) for found in properties] + [found["value"] for found in _IN_QUERY.finditer(text)]


def _hidden(found: re.Match[str]) -> str:
    return f"{found['key']}{found['equals']}***" if _SECRET_KEY.match(found["key"]) else found[0]


def _unquoted(value: str) -> str:
    if value[:1] in "\"'":
        value = value[1:].removesuffix(value[0])
    return re.sub(r"\\(.)", r"\1", value, flags=re.S)


def _spellings(secrets: list[str]) -> list[str]:
    """Each secret as written, decoded and percent-encoded, the longest first, so that none hides part of another."""
    forms = {form for secret in secrets for form in (secret, unquote(secret), quote(unquote(secret), safe=""))}
    return sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=len, reverse=True)
