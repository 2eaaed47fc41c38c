"""Where the program begins, and how every failure reaches the person at the keyboard.

Imports nothing but Python's own at first: whoever presses Ctrl-C while the rest is being loaded gets one line, too.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 5 ms
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; every failure is one line on standard error and an exit status."""
    with ends_at_once():
        from pipelines.cli.app import app
        from pipelines.interrupts import signals_interrupt
        from stream.engines.threads import wait_without_spinning
    wait_without_spinning()
    try:
        with signals_interrupt():
            app()
    except KeyboardInterrupt as interrupt:
        sys.exit(interrupted(interrupt))
    except Exception as error:
        if "--debug" in sys.argv and not for_machines():
            raise
        sys.exit(_report(error))
    sys.exit(0)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Inside, Ctrl-C leaves the process as it stands: nothing is open yet, and half-loaded modules would complain."""
    before = signal.getsignal(signal.SIGINT)
    is_usual = before is signal.default_int_handler and _is_main_thread()
    if is_usual:
        signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        if is_usual:
            signal.signal(signal.SIGINT, before)


def interrupted(interrupt: KeyboardInterrupt) -> int:
    """Say so; the exit status. A run that has begun says more, with its own figures (``pipelines.runner``)."""
    from pipelines.interrupts import Terminated, status_of

    _say(f"ended by {interrupt}" if isinstance(interrupt, Terminated) else "interrupted")
    return status_of(interrupt)


def for_machines() -> bool:
    """The log is read by a program: whatever is said on standard error is an event."""
    return "--log-json" in sys.argv


def _is_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"depthstream: interrupted\n")
    os._exit(128 + number)


def _report(error: Exception) -> int:
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

    from stream.log import redact

    if for_machines():
        logging.getLogger("pipelines.cli").error("%s", redact(text), exc_info="--debug" in sys.argv)
    else:
        print(f"depthstream: {redact(text)}", file=sys.stderr)


if __name__ == "__main__":
    main()
