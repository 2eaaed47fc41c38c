"""Handle termination signals like Ctrl-C, so that files are finished and child processes end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EIO
from types import FrameType
from typing import NoReturn

TERMINATION_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGHUP: the terminal was closed, or the connection to it was lost. Windows does not have it."""


class Terminated(KeyboardInterrupt):
    """Raised in the main thread by one of TERMINATION_SIGNALS."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def status_of(interrupt: KeyboardInterrupt) -> int:
    """The exit status: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP (128 plus the signal's number)."""
    return 128 + (interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Within the block, TERMINATION_SIGNALS raise Terminated in the main thread; an ignored one (nohup) stays ignored.

    After the first signal, SIGHUP is ignored, because shells and systemd send it in addition to another signal. Nested
    in another such block, and in other threads than the main one, this does nothing.
    """
    # Python lets only the main thread set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in TERMINATION_SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, _interrupt)]
    ours = [number for number in ours if not isinstance(getattr(before[number], "__self__", None), HangUps)]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


class HangUps:
    """SIGHUP as a request to read the config file again. A terminal that was closed still ends the run with 129."""

    def __init__(self) -> None:
        self._is_pending = False

    def take(self) -> bool:
        """True if a SIGHUP has arrived since the last call; several count once."""
        taken, self._is_pending = self._is_pending, False
        return taken

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal's handler."""
        if _redirect_dead_terminal():
            _interrupt(number, frame)
        self._is_pending = True


@contextmanager
def hang_ups_noted() -> Iterator[HangUps]:
    """Within the block, SIGHUP is noted and does not end the run, even where it was ignored (nohup) before.

    Once another signal has ended the run, SIGHUP is ignored, as ``signals_interrupt`` explains.
    """
    hang_ups = HangUps()
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield hang_ups
        return
    before = signal.signal(signal.SIGHUP, hang_ups.note)
    try:
        yield hang_ups
    finally:
        if signal.getsignal(signal.SIGHUP) == hang_ups.note:
            signal.signal(signal.SIGHUP, before)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the second one of a pair must not abort the drain
        _redirect_dead_terminal()
    raise Terminated(number)


def _redirect_dead_terminal() -> bool:
    """Redirect output to /dev/null if the terminal was closed: an error from ``print`` would keep files unfinished.

    Returns whether it was closed.
    """
    was_closed = False
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            was_closed |= _redirect_if_dead(stream.fileno())  # type: ignore[union-attr]
    return was_closed


def _redirect_if_dead(number: int) -> bool:
    """Redirect a descriptor whose terminal was hung up; returns whether it was.

    Reading the settings of such a terminal fails with EIO; a file or a pipe fails with another error.
    """
    import termios

    try:
        termios.tcgetattr(number)
    except termios.error as error:
        if error.args[0] == EIO:
            with open(os.devnull, "w", encoding="utf-8") as nothing:
                os.dup2(nothing.fileno(), number)
            return True
    return False
