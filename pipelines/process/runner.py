"""Run a built pipeline from the main thread: watch it, end it cleanly on a signal, keep the final figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.process.signals import signals_interrupt, status_of
from stream.core.clock import Deadline
from stream.errors import DepthStreamError, SourceError, StageError
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import PipelineStats

REFRESH_S = 0.25


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run went."""

    stats: PipelineStats
    error: DepthStreamError | None
    """What went wrong: the first failing stage's own error if it is one of ours; that no camera gave an image."""
    exit_status: int
    """0, the error's, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""


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

    The first Ctrl-C (SIGTERM, SIGHUP) drains: sources end and what was captured is still delivered. The second aborts.

    A run that nobody interrupted, and that in all its time had no image of any camera, has failed.
    """
    error, status = None, 0
    try:
        with signals_interrupt(), pipe:
            try:
                _watch(pipe, seconds, watch, every_s, poll)
            except KeyboardInterrupt as interrupt:
                status = status_of(interrupt)
    except KeyboardInterrupt as interrupt:
        status = status_of(interrupt)
    except StageError as failure:
        error = root_cause(failure)
        status = error.exit_status
    stats = pipe.stats()
    if error is None and status == 0 and (why := without_images(stats)):
        error = SourceError(why)
        status = error.exit_status
    return Ending(stats, error, status)


def without_images(stats: PipelineStats) -> str:
    """Why no camera has delivered a single image; empty if one has, or if there is no live camera."""
    if not stats.cameras or any(account.captured for account in stats.accounts):
        return ""
    reasons = [f"{camera.name}: {camera.trouble or f'still {camera.state}'}" for camera in stats.cameras]
    return f"no camera delivered an image: {'; '.join(reasons)}"


def root_cause(failure: StageError) -> DepthStreamError:
    """The stage's own error when it is one of ours and so says all that matters, else ``failure``."""
    return failure.__cause__ if isinstance(failure.__cause__, DepthStreamError) else failure


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
