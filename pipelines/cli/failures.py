"""How every failure reaches the person at the keyboard: one line, and an exit status.

Imports nothing but Python's own at first, as ``pipelines.cli.entry``.
"""

from __future__ import annotations

import sys


def interrupted(interrupt: KeyboardInterrupt) -> int:
    """Say so; the exit status. A run that has begun says more, with its own figures (``pipelines.process.runner``)."""
    from pipelines.process.signals import Terminated, status_of

    _say(f"ended by {interrupt}" if isinstance(interrupt, Terminated) else "interrupted")
    return status_of(interrupt)


def for_machines() -> bool:
    """The log is read by a program: whatever is said on standard error is an event."""
    return "--log-json" in sys.argv


def report(error: Exception) -> int:
    """Say it; the exit status."""
    from stream.errors import DepthStreamError

    if isinstance(error, DepthStreamError):
        text = str(error)
    elif isinstance(error, ImportError) and "libGL" in str(error):
        text = "OpenCV needs libGL: apt-get install libgl1 libglib2.0-0; or: pip install opencv-python-headless"
    else:
        text = f"internal error: {type(error).__name__}: {error} (--debug shows where)"
    _say(text)
    return error.exit_status if isinstance(error, DepthStreamError) else 1


def _say(text: str) -> None:
    """For people a line, for machines an event; the traceback of what is being handled with --debug."""
    import logging

    from stream.core.log import redact

    if for_machines():
        logging.getLogger("pipelines.cli").error("%s", redact(text), exc_info="--debug" in sys.argv)
    else:
        print(f"depthstream: {redact(text)}", file=sys.stderr)
