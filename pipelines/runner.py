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
) -> Ending:
    """Run until the sources are over, ``seconds`` have passed or somebody interrupts; ``watch`` sees it live.

    The first Ctrl-C drains: sources end and what was captured is still delivered. The second one aborts.
    """
    error, status = None, 0
    try:
        with sigterm_interrupts(), pipe:
            try:
                _watch(pipe, seconds, watch, every_s)
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


def _watch(pipe: Pipeline, seconds: float | None, watch: Callable[[PipelineStats], None], every_s: float) -> None:
    while not pipe.ready.wait(every_s):
        watch(pipe.stats())
    deadline = None if seconds is None else Deadline.after(seconds)
    while not pipe.wait(every_s if deadline is None else min(every_s, deadline.left_s)):
        watch(pipe.stats())
        if deadline is not None and deadline.passed:
            return
