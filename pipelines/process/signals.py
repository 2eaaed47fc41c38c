"""Signals that end a program the way Ctrl-C does, so that files are finished and children ended."""

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

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGHUP: the terminal was closed, or the connection to it was lost."""


class Terminated(KeyboardInterrupt):
    """One of ``ENDING``, taken like Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def status_of(interrupt: KeyboardInterrupt) -> int:
    """The exit status: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP (128 and the signal's number)."""
    return 128 + (interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Inside, each of ``ENDING`` raises Terminated in the main thread; one that was ignored (nohup) stays ignored.

    A further SIGHUP is nothing new: shells and systemd send it beside another signal. Nested, and in other threads
    than the main one, this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, _interrupt)]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _leave_dead_terminal()
    raise Terminated(number)


def _leave_dead_terminal() -> None:
    """What is still printed shall not fail, for files are written after it: a closed terminal is /dev/null."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            _redirect_if_dead(stream.fileno())  # type: ignore[union-attr]


def _redirect_if_dead(number: int) -> None:
    """Of a terminal that was hung up, not even the settings can be read; what is no terminal answers otherwise."""
    import termios

    try:
        termios.tcgetattr(number)
    except termios.error as error:
        if error.args[0] == EIO:
            with open(os.devnull, "w", encoding="utf-8") as nothing:
                os.dup2(nothing.fileno(), number)
