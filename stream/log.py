"""Logging set-up, and the rule that no password leaves the process."""

from __future__ import annotations

import logging
import re

OUR_LOGGERS = ("stream", "pipelines")

_CREDENTIALS = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/:@]*)(?P<password>:[^\s'\"]*)?@", re.IGNORECASE
)
"""To the last "@" of a word: a password with a raw "/" in it is a mistake, and still a password."""
_TOKEN = re.compile(r"(?P<key>[?&]token=)[^\s&#'\"]+", re.IGNORECASE)
"""Of our own web server, in the address that is printed once."""


def redact(text: str) -> str:
    """``text`` with the password or token of every URL in it replaced by ``***``; a user name alone is kept."""
    hidden = _CREDENTIALS.sub(lambda m: f"{m['scheme']}{m['user']}{':***' if m['password'] else ''}@", text)
    return _TOKEN.sub(lambda m: f"{m['key']}***", hidden)


class RedactingFormatter(logging.Formatter):
    """Formats a record, tracebacks included, and then redacts the whole line."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(
    *, verbose: bool = False, handler: logging.Handler | None = None, formatter: logging.Formatter | None = None
) -> None:
    """Send our log to ``handler`` (standard error by default): warnings, or everything when ``verbose``.

    A ``formatter`` of one's own must redact; ``stream.log_json`` has one for machines.
    """
    handler = handler or logging.StreamHandler()
    handler.setFormatter(formatter or RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
        logger.propagate = False
