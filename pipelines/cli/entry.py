"""Where the program begins.

Imports nothing but Python's own at first: whoever presses Ctrl-C while the rest is being loaded gets one line, too.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager

from pipelines.cli.failures import for_machines, interrupted, report

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 5 ms
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; every failure is one line on standard error and an exit status."""
    with ends_at_once():
        from pipelines.cli.app import app
        from pipelines.process.signals import signals_interrupt
        from stream.engines.cpu_setup import wait_without_spinning
    wait_without_spinning()
    try:
        with signals_interrupt():
            app()
    except KeyboardInterrupt as interrupt:
        sys.exit(interrupted(interrupt))
    except Exception as error:
        if "--debug" in sys.argv and not for_machines():
            raise
        sys.exit(report(error))
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


def _is_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"depthstream: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
