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
"""To the last "@" of a word: a password with a raw "/" in it is a mistake, and still a password.

Paths have lost one of their two slashes; who forgets ``rtsp://`` has written a password all the same.
"""
_ASSIGNED = re.compile(
    r"(?P<key>[?&](?:token|pass(?:word|wd)?|pwd|secret)=)[^\s&#'\"]+?(?=[&#'\"]|[:,.)]*(?:\s|$))", re.IGNORECASE
)
"""Of our own web server, in the address that is printed once, and of cameras that are asked so."""


def redact(text: str) -> str:
    """``text`` with the password or token of every URL in it replaced by ``***``; a user name alone is kept."""
    return _ASSIGNED.sub(lambda m: f"{m['key']}***", _CREDENTIALS.sub(_without_password, text))


def _without_password(found: re.Match[str]) -> str:
    if found["bare"]:
        return f"{found['bare']}:***@"
    return f"{found['scheme']}{found['user']}{':***' if found['password'] else ''}@"


def one_line(text: str, most: int = 600) -> str:
    """Fit for a table or a log, whoever sent it: no control characters, no passwords, not longer than ``most``."""
    return "".join(c for c in " ".join(redact(text).split()) if c.isprintable())[:most]


class RedactingFormatter(logging.Formatter):
    """Formats a record, tracebacks included, and then redacts the whole line."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(
    *, verbose: bool = False, handler: logging.Handler | None = None, formatter: logging.Formatter | None = None
) -> None:
    """Send our log to ``handler`` (standard error by default): warnings, or everything when ``verbose``.

    A ``formatter`` of one's own must redact; ``pipelines.cli.json_log`` has one for machines.
    """
    handler = handler or logging.StreamHandler()
    handler.setFormatter(formatter or RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
        logger.propagate = False
