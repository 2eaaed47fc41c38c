"""How a run ends: by itself, by the clock, by Ctrl-C, by SIGTERM, by an error."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pipelines.runner import run
from stream.errors import SourceError, StageError
from stream.frames import Frame
from stream.pipeline import Pipeline
from stream.stats import PipelineStats
from stream.worker import Body

FrameMaker = Callable[..., Frame]


def endless(make_frame: FrameMaker) -> Pipeline:
    def show(frames: Iterable[Frame]) -> Iterator[Frame]:
        yield from frames

    pipe = Pipeline("endless")
    pipe.stage("show", show, [pipe.source("capture", one_after_another(make_frame))])
    return pipe


def one_after_another(make_frame: FrameMaker) -> Body:
    def capture(stopping: threading.Event) -> Iterator[Frame]:
        seq = 0
        while not stopping.wait(0.002):
            yield make_frame(seq)
            seq += 1

    return capture


def failing(error: Exception) -> Pipeline:
    def capture(stopping: threading.Event) -> Iterator[Any]:
        raise error
        yield

    pipe = Pipeline("failing")
    pipe.stage("show", iter, [pipe.source("capture", capture)])
    return pipe


def test_time_being_up_is_a_clean_end(make_frame: FrameMaker) -> None:
    """Everything captured has been delivered and the watcher has seen it live."""
    seen: list[PipelineStats] = []
    ending = run(endless(make_frame), seconds=0.2, watch=seen.append, every_s=0.02)
    assert ending.exit_status == 0
    assert ending.stats.unaccounted == 0
    assert ending.stats.accounts[0].published > 0
    assert seen


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains(number: signal.Signals, status: int, make_frame: FrameMaker) -> None:
    """Ctrl-C and SIGTERM end the run cleanly; the signal's handler is put back."""
    before = signal.getsignal(signal.SIGTERM)

    def interrupt(stats: PipelineStats) -> None:
        if stats.accounts and stats.accounts[0].published > 3:
            os.kill(os.getpid(), number)

    ending = run(endless(make_frame), watch=interrupt, every_s=0.02)
    assert ending.exit_status == status
    assert ending.error is None
    assert ending.stats.accounts[0].captured == ending.stats.accounts[0].published
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_interrupt_does_not_wait_for_the_drain(make_frame: FrameMaker) -> None:
    """The first Ctrl-C waits for a slow stage; the second one leaves at once, and the account still closes."""
    release = threading.Event()

    def slow(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            release.wait(30.0)
            yield frame

    pipe = Pipeline("slow", stop_timeout_s=30.0)
    pipe.stage("slow", slow, [pipe.source("capture", one_after_another(make_frame))])
    second = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))

    def interrupt(stats: PipelineStats) -> None:
        if stats.accounts:
            second.start()
            os.kill(os.getpid(), signal.SIGINT)

    ending = run(pipe, watch=interrupt, every_s=0.02)
    second.join()
    assert ending.exit_status == 130
    assert ending.stats.running_s < 20.0
    release.set()
    assert pipe.wait(5.0)
    assert pipe.stats().unaccounted == 0


def test_our_own_errors_come_out_as_they_are() -> None:
    """The stage's error, not a wrapping of it."""
    ending = run(failing(SourceError("clip.mp4: no such file")))
    assert isinstance(ending.error, SourceError)
    assert ending.exit_status == 1


def test_a_strangers_error_names_the_stage() -> None:
    """What is not ours is told with the place where it happened."""
    ending = run(failing(ZeroDivisionError("division by zero")))
    assert isinstance(ending.error, StageError)
    assert "stage 'capture' failed: division by zero" in str(ending.error)
