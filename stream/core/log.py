"""Logging set-up, and the rule that no password leaves the process."""

from __future__ import annotations

import logging
import re

OUR_LOGGERS = ("stream", "pipelines")

_CREDENTIALS = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*:/{1,2})(?P<user>[^\s/:@]*)(?P<password>:[^\s'\"]*)?@"
    r"|(?P<bare>(?<![\w.+-])[a-z][\w.+-]*):(?!/)[^\s'\"]+@(?=[\w\[])",
    re.IGNORECASE,
)
"""``user:password@`` up to the last "@" of a word.

Malformed URLs match, too, because they still hold a password: one with a raw "/" in it, a URL that lost a slash when it
became a ``Path`` (``rtsp:/...``), and an address without ``rtsp://`` in front.
"""
_SECRET_PARAMETERS = re.compile(
    r"(?P<key>[?&](?:token|pass(?:word|wd)?|pwd|secret)=)[^\s&#'\"]+?(?=[&#'\"]|[:,.)]*(?:\s|$))", re.IGNORECASE
)
"""Secrets in a query string: the token of our own web page's address, and passwords of cameras that take them there."""
_SECRET_PROPERTIES = re.compile(
    r"(?P<key>\b(?:user-pw|proxy-pw|user-id|proxy-id|passphrase)\s*=\s*)"
    r"(?:\\?\"(?:[^\"\\]|\\.)*|'[^']*'?|(?:\\.|[^\s&'\"\\])+)(?:\\?\")?",
    re.IGNORECASE,
)
"""Secrets in a GStreamer pipeline, as it stands in a config file and in errors about one."""


def redact(text: str) -> str:
    """``text`` with the password or token of every URL in it replaced by ``***``; a user name alone is kept.

    >>> redact("cannot open rtsp://admin:s3cret@10.0.0.7/main")
    'cannot open rtsp://admin:***@10.0.0.7/main'
    """
    text = _SECRET_PROPERTIES.sub(lambda m: f"{m['key']}***", text)
    return _SECRET_PARAMETERS.sub(lambda m: f"{m['key']}***", _CREDENTIALS.sub(_without_password, text))


def _without_password(match: re.Match[str]) -> str:
    if match["bare"]:
        return f"{match['bare']}:***@"
    return f"{match['scheme']}{match['user']}{':***' if match['password'] else ''}@"


def one_line(text: str, max_chars: int = 600) -> str:
    """``text`` made safe for a table or a log: one line, no control characters, no passwords, at most ``max_chars``.

    For text from outside (a camera's name, a decoder's message), which could otherwise move a terminal's cursor.
    """
    # Redacted before it is shortened, which may cut off the "@" that marks a password.
    return "".join(c for c in " ".join(redact(text).split()) if c.isprintable())[:max_chars]


class RedactingFormatter(logging.Formatter):
    """Formats a record, tracebacks included, and then redacts the whole line."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(
    *, verbose: bool = False, handler: logging.Handler | None = None, formatter: logging.Formatter | None = None
) -> None:
    """Send our log to ``handler`` (standard error by default): warnings, or everything when ``verbose``.

    A ``formatter`` of your own must redact, as the one in ``pipelines.cli.json_log`` does.
    """
    handler = handler or logging.StreamHandler()
    handler.setFormatter(formatter or RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
        logger.propagate = False  # the root logger's handlers do not redact
