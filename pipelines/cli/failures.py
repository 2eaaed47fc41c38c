"""Report every failure as one line on standard error, and choose the exit status.

Only the standard library is imported at module level, for the reason given in ``pipelines.cli.entry``.
"""

from __future__ import annotations

import sys


def interrupted(interrupt: KeyboardInterrupt) -> int:
    """Report an interrupt and return its exit status.

    Once a pipeline runs, ``pipelines.process.runner`` handles interrupts itself and still prints the statistics.
    """
    from pipelines.process.signals import Terminated, status_of

    _print(f"ended by {interrupt}" if isinstance(interrupt, Terminated) else "interrupted")
    return status_of(interrupt)


def logs_json() -> bool:
    """True if a program reads the log, so that every line on standard error must be a JSON event."""
    return "--log-json" in sys.argv


def report(error: Exception) -> int:
    """Report an error and return its exit status."""
    from stream.errors import DepthStreamError

    if isinstance(error, DepthStreamError):
        text = str(error)
    elif isinstance(error, ImportError) and "libGL" in str(error):
        text = "OpenCV needs libGL: apt-get install libgl1 libglib2.0-0; or: pip install opencv-python-headless"
    else:
        text = f"internal error: {type(error).__name__}: {error} (--debug shows where)"
    _print(text)
    return error.exit_status if isinstance(error, DepthStreamError) else 1


def _print(text: str) -> None:
    """Print a plain line, or log a JSON event; with --debug the event has the traceback of the current exception."""
    import logging

    from stream.core.log import redact

    if logs_json():
        logging.getLogger("pipelines.cli").error("%s", redact(text), exc_info="--debug" in sys.argv)
    else:
        print(f"depthstream: {redact(text)}", file=sys.stderr)
