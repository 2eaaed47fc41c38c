"""The log for machines: one JSON object a line, one line an event. docs/operations.md lists the fields."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime

from stream.core.log import redact, set_up
from stream.runtime.worker import Worker

CAMERAS_OWN = ("capture.", "opening.")
"""Threads that work for one camera: its capture stage, and the one that opens it."""


def set_up_json(*, verbose: bool = False, handler: logging.Handler | None = None) -> None:
    """As ``stream.core.log.set_up``, as JSON, and with the warnings of libraries, which would break the lines."""
    handler = handler or logging.StreamHandler()
    set_up(verbose=verbose, handler=handler, formatter=JsonFormatter())
    logging.getLogger().handlers[:] = [handler]
    logging.captureWarnings(True)


class JsonFormatter(logging.Formatter):
    """``extra={"camera": ..., "stage": ...}`` of a record is kept; else both are known from the thread's name."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "camera": _given(record, "camera") or _camera_of(record.threadName or ""),
            "stage": _given(record, "stage") or _stage_of(record),
            "thread": record.threadName,
            "error": self._error(record),
        }
        return json.dumps({name: redact(text) for name, text in fields.items() if text})

    def _error(self, record: logging.LogRecord) -> str:
        """The traceback, and the stack where one was asked for."""
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        return "\n".join(part for part in (trace, record.stack_info) if part)


def _utc(unix_s: float) -> str:
    """ISO 8601 with microseconds, always as long as this: sorting lines by it sorts them by time."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _given(record: logging.LogRecord, field: str) -> str:
    value = record.__dict__.get(field)
    return "" if value is None else str(value)


def _camera_of(thread: str) -> str:
    return next((thread.removeprefix(prefix) for prefix in CAMERAS_OWN if thread.startswith(prefix)), "")


def _stage_of(record: logging.LogRecord) -> str:
    """A stage's thread bears its name; records are formatted where they are made, but for those of a queue."""
    thread = threading.current_thread()
    return thread.name if isinstance(thread, Worker) and thread.ident == record.thread else ""
