"""Run a built pipeline from the main thread: watch it, end it cleanly on Ctrl-C or SIGTERM, keep the final figures."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from stream.clock import Deadline
from stream.errors import DepthStreamError, StageError
from stream.pipeline import Pipeline
from stream.stats import PipelineStats

REFRESH_S = 0.25


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run went."""

    stats: PipelineStats
    error: DepthStreamError | None
    """What went wrong: the first failing stage's own error if it is one of ours."""
    exit_status: int
    """0, the error's, 130 after Ctrl-C, 143 after SIGTERM."""


def run(
    pipe: Pipeline,
    *,
    seconds: float | None = None,
    watch: Callable[[PipelineStats], None] = lambda stats: None,
    every_s: float = REFRESH_S,
    poll: Callable[[], bool] | None = None,
) -> Ending:
    """Run until the sources are over, ``seconds`` have passed or somebody interrupts; ``watch`` sees it live.

    ``poll`` is called again and again and waits a little each time (a window's main loop); it ends the run by False.

    The first Ctrl-C drains: sources end and what was captured is still delivered. The second one aborts.
    """
    error, status = None, 0
    try:
        with sigterm_interrupts(), pipe:
            try:
                _watch(pipe, seconds, watch, every_s, poll)
            except KeyboardInterrupt as interrupt:
                status = 143 if isinstance(interrupt, Terminated) else 130
    except KeyboardInterrupt as interrupt:
        status = 143 if isinstance(interrupt, Terminated) else 130
    except StageError as failure:
        error = root_cause(failure)
        status = error.exit_status
    return Ending(pipe.stats(), error, status)


def root_cause(failure: StageError) -> DepthStreamError:
    """The stage's own error when it is one of ours and so says all that matters, else ``failure``."""
    return failure.__cause__ if isinstance(failure.__cause__, DepthStreamError) else failure


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Inside, SIGTERM ends the run like Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch(
    pipe: Pipeline,
    seconds: float | None,
    watch: Callable[[PipelineStats], None],
    every_s: float,
    poll: Callable[[], bool] | None,
) -> None:
    """The ``seconds`` begin when every stage is ready."""
    look, end = Deadline.after(every_s), None
    while not pipe.wait(0.0 if poll else look.left_s if end is None else min(look.left_s, end.left_s)):
        if poll is not None and not poll():
            return
        if look.passed:
            watch(pipe.stats())
            look = Deadline.after(every_s)
        if end is None and seconds is not None and pipe.ready.is_set():
            end = Deadline.after(seconds)
        if end is not None and end.passed:
            return
