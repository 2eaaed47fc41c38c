"""Run a built pipeline from the main thread: watch it, end it cleanly on a signal, return its final statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.process.signals import signals_interrupt, status_of
from stream.core.clock import Deadline
from stream.errors import DepthStreamError, SourceError, StageError
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import PipelineStats

REFRESH_S = 0.25
"""Default interval between snapshots."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run."""

    stats: PipelineStats
    """The last snapshot."""
    error: DepthStreamError | None
    """The first failed stage's error, or a SourceError if no camera delivered an image; None after success."""
    exit_status: int
    """0, or the error's; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""


def run(
    pipe: Pipeline,
    *,
    seconds: float | None = None,
    watch: Callable[[PipelineStats], None] = lambda stats: None,
    every_s: float = REFRESH_S,
    poll: Callable[[], bool] | None = None,
    tick: Callable[[], None] | None = None,
) -> RunResult:
    """Run until the sources end, ``seconds`` have passed, or a signal arrives.

    ``watch`` gets a snapshot every ``every_s`` seconds. ``poll`` is called repeatedly and waits a little each time (a
    window's main loop); it ends the run by returning False. ``tick`` is called at least every ``every_s`` seconds.

    The first Ctrl-C (SIGTERM, SIGHUP) drains: sources end and captured frames are still delivered. The second aborts.
    A run that was not interrupted and in which no camera delivered an image has failed.
    """
    error, status = None, 0
    try:
        # The handlers stay until the pipeline is closed, so that a second signal during the drain aborts it.
        with signals_interrupt(), pipe:
            try:
                _watch(pipe, seconds, watch, every_s, poll, tick)
            except KeyboardInterrupt as interrupt:
                status = status_of(interrupt)  # leaving ``with`` without the exception drains
    except KeyboardInterrupt as interrupt:  # the second one, while draining
        status = status_of(interrupt)
    except StageError as failure:
        error = root_cause(failure)
        status = error.exit_status
    stats = pipe.stats()
    if error is None and status == 0 and (why := no_image_reason(stats)):
        error = SourceError(why)
        status = error.exit_status
    return RunResult(stats, error, status)


def no_image_reason(stats: PipelineStats) -> str:
    """Why no camera delivered an image; empty if one did, and for pipelines without live cameras."""
    if not stats.cameras or any(account.captured for account in stats.accounts):
        return ""
    reasons = [f"{camera.name}: {camera.trouble or f'still {camera.state}'}" for camera in stats.cameras]
    return f"no camera delivered an image: {'; '.join(reasons)}"


def root_cause(failure: StageError) -> DepthStreamError:
    """The stage's own error if it is a DepthStreamError, whose message needs no context; else ``failure``."""
    return failure.__cause__ if isinstance(failure.__cause__, DepthStreamError) else failure


def _watch(
    pipe: Pipeline,
    seconds: float | None,
    watch: Callable[[PipelineStats], None],
    every_s: float,
    poll: Callable[[], bool] | None,
    tick: Callable[[], None] | None,
) -> None:
    """Wait for the end; ``seconds`` count from the moment when every stage is ready."""
    snapshot, end = Deadline.after(every_s), None
    # Without a time-out if there is ``poll``, which waits by itself.
    while not pipe.wait(0.0 if poll else snapshot.left_s if end is None else min(snapshot.left_s, end.left_s)):
        if poll is not None and not poll():
            return
        if tick is not None:
            tick()
        if snapshot.passed:
            watch(pipe.stats())
            snapshot = Deadline.after(every_s)
        if end is None and seconds is not None and pipe.ready.is_set():
            end = Deadline.after(seconds)
        if end is not None and end.passed:
            return
