"""The entry point of the program.

Only the standard library is imported at module level, so that Ctrl-C during the other imports also ends in one line.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager

from pipelines.cli.failures import interrupted, logs_json, report

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 5 ms
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Every failure ends in one line on standard error and an exit status."""
    if "--watch-config" in sys.argv and hasattr(signal, "SIGHUP") and not sys.stderr.isatty():
        # A reload that comes right after the start must not end it; the run looks at the file anyway.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with exits_on_interrupt():
        from pipelines.cli.app import app
        from pipelines.process.signals import signals_interrupt
        from stream.engines.cpu_setup import wait_without_spinning
    wait_without_spinning()  # must be set before torch is loaded
    try:
        with signals_interrupt():
            app()
    except KeyboardInterrupt as interrupt:
        sys.exit(interrupted(interrupt))
    except Exception as error:
        if "--debug" in sys.argv and not logs_json():
            raise
        sys.exit(report(error))
    sys.exit(0)


@contextmanager
def exits_on_interrupt() -> Iterator[None]:
    """Inside, Ctrl-C exits at once without cleaning up.

    Nothing is open yet, and a KeyboardInterrupt in the middle of an import prints tracebacks of half-loaded modules.
    """
    before = signal.getsignal(signal.SIGINT)
    # a handler of the embedding program stays, and only the main thread may set one
    replaces = before is signal.default_int_handler and _is_main_thread()
    if replaces:
        signal.signal(signal.SIGINT, _exit_now)
    try:
        yield
    finally:
        if replaces:
            signal.signal(signal.SIGINT, before)


def _is_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()


def _exit_now(number: int, frame: FrameType | None) -> None:
    os.write(2, b"depthstream: interrupted\n")  # print may be at work already, and is not reentrant
    os._exit(128 + number)


if __name__ == "__main__":
    main()
