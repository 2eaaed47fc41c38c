"""Logging set-up, and the rule that no password leaves the process."""

from __future__ import annotations

import logging
import re

_CREDENTIALS = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/:@]*)(?P<password>:[^\s'\"]*)?@", re.IGNORECASE
)
"""To the last "@" of a word: a password with a raw "/" in it is a mistake, and still a password."""


def redact(text: str) -> str:
    """``text`` with the password of every URL in it replaced by ``***``; a user name without one is kept."""
    return _CREDENTIALS.sub(lambda m: f"{m['scheme']}{m['user']}{':***' if m['password'] else ''}@", text)


class RedactingFormatter(logging.Formatter):
    """Formats a record, tracebacks included, and then redacts the whole line."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(*, verbose: bool = False, handler: logging.Handler | None = None) -> None:
    """Send our log to ``handler`` (standard error by default): warnings, or everything when ``verbose``."""
    handler = handler or logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    for name in ("stream", "pipelines"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
        logger.propagate = False
