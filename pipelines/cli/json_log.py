"""The log of `--log-json`: one JSON object per line and event. docs/reference/monitoring.md lists the fields."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime

from stream.core.log import redact, set_up
from stream.runtime.worker import Worker

CAMERA_THREADS = ("capture.", "opening.")
"""Name prefixes of threads that work for one camera: its capture stage, and the thread that opens it."""


def set_up_json(*, verbose: bool = False, handler: logging.Handler | None = None) -> None:
    """Like ``stream.core.log.set_up``, but as JSON. Warnings of libraries are logged too: as plain text on standard
    error they would break the rule of one object per line."""
    handler = handler or logging.StreamHandler()
    set_up(verbose=verbose, handler=handler, formatter=JsonFormatter())
    logging.getLogger().handlers[:] = [handler]
    logging.captureWarnings(True)


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON. Camera and stage come from ``extra`` of the record, or else from the thread's name."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "camera": _extra(record, "camera") or _camera_of(record.threadName or ""),
            "stage": _extra(record, "stage") or _stage_of(record),
            "thread": record.threadName,
            "error": self._error(record),
        }
        return json.dumps({name: redact(text) for name, text in fields.items() if text})

    def _error(self, record: logging.LogRecord) -> str:
        """The traceback of the exception, and the stack if the record has one (``stack_info``)."""
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        return "\n".join(part for part in (trace, record.stack_info) if part)


def _utc(unix_s: float) -> str:
    """ISO 8601 with microseconds, always the same length, so that sorting lines as text sorts them by time."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _extra(record: logging.LogRecord, field: str) -> str:
    value = record.__dict__.get(field)
    return "" if value is None else str(value)


def _camera_of(thread: str) -> str:
    return next((thread.removeprefix(prefix) for prefix in CAMERA_THREADS if thread.startswith(prefix)), "")


def _stage_of(record: logging.LogRecord) -> str:
    """The name of the stage whose thread logs this record.

    The thread is compared because a queue handler formats records on another thread than the one that made them.
    """
    thread = threading.current_thread()
    return thread.name if isinstance(thread, Worker) and thread.ident == record.thread else ""
