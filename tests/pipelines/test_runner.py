"""How a run ends: by itself, by the clock, by Ctrl-C, by SIGTERM, by an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.process.runner import run
from pipelines.process.signals import hang_ups_noted, signals_interrupt
from stream.errors import SourceError, StageError
from stream.frames import Frame
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import PipelineStats
from stream.runtime.worker import Body
from stream.sources.health import Health

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
    """Every captured frame is delivered, and the watcher got snapshots of the running pipeline."""
    seen: list[PipelineStats] = []
    ending = run(endless(make_frame), seconds=0.2, watch=seen.append, every_s=0.02)
    assert ending.exit_status == 0
    assert ending.stats.unaccounted == 0
    assert ending.stats.accounts[0].published > 0
    assert seen


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_drains(number: signal.Signals, status: int, make_frame: FrameMaker) -> None:
    """Ctrl-C, SIGTERM and SIGHUP end the run cleanly; the signals' handlers are put back."""
    before = [signal.getsignal(ending) for ending in (signal.SIGTERM, signal.SIGHUP)]

    def interrupt(stats: PipelineStats) -> None:
        if stats.accounts and stats.accounts[0].published > 3:
            os.kill(os.getpid(), number)

    ending = run(endless(make_frame), watch=interrupt, every_s=0.02)
    assert ending.exit_status == status
    assert ending.error is None
    assert ending.stats.accounts[0].captured == ending.stats.accounts[0].published
    assert [signal.getsignal(ending) for ending in (signal.SIGTERM, signal.SIGHUP)] == before


def test_nohup_is_respected(make_frame: FrameMaker) -> None:
    """A SIGHUP that was ignored when the run began stays ignored."""
    seen: list[int] = []

    def hang_up(stats: PipelineStats) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        seen.append(stats.accounts[0].published if stats.accounts else 0)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ending = run(endless(make_frame), watch=hang_up, every_s=0.02, poll=lambda: len(seen) < 5)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ending.exit_status == 0
    assert len(seen) == 5


def test_a_hang_up_can_be_a_request(make_frame: FrameMaker) -> None:
    """Within ``hang_ups_noted`` it ends nothing, also where it was ignored before; then the handler is put back."""
    taken: list[bool] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt(), hang_ups_noted() as hang_ups:

            def tick() -> None:
                taken.append(hang_ups.take())
                if len(taken) == 1:
                    os.kill(os.getpid(), signal.SIGHUP)
                    os.kill(os.getpid(), signal.SIGHUP)

            ending = run(endless(make_frame), tick=tick, every_s=0.01, poll=lambda: len(taken) < 5)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ending.exit_status == 0
    assert taken.count(True) == 1


def test_a_closed_terminal_ends_a_run_that_takes_hang_ups_as_requests(tmp_path: Path) -> None:
    """The terminal's output cannot be written any more; the status is that of SIGHUP."""
    program = """
        import os, signal, sys, time
        from pipelines.process.signals import Terminated, hang_ups_noted, signals_interrupt
        with signals_interrupt(), hang_ups_noted():
            try:
                print("ready", flush=True)
                while True:
                    time.sleep(60)
            except Terminated as ended:
                open(sys.argv[1], "w").write(str(ended))
    """
    ours, theirs = os.openpty()
    said = tmp_path / "said"
    command = [sys.executable, "-c", textwrap.dedent(program), str(said)]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=Path(__file__).parents[2]
    )
    os.close(theirs)
    assert b"ready" in os.read(ours, 100)
    os.close(ours)  # hangs the terminal up
    process.send_signal(signal.SIGHUP)
    assert process.wait(60.0) == 0
    assert said.read_text() == "SIGHUP"


@pytest.mark.slow
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_a_hang_up_beside_another_signal_does_not_abort(
    first: signal.Signals, make_frame: FrameMaker, request: pytest.FixtureRequest
) -> None:
    """Shells and systemd send both: the drain goes on, and captured frames are delivered."""
    before = signal.signal(signal.SIGHUP, lambda number, frame: None)  # one that comes after the run ends no test
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, before))
    second = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGHUP))

    def interrupt(stats: PipelineStats) -> None:
        if stats.accounts and stats.accounts[0].published > 3:
            second.start()
            os.kill(os.getpid(), first)

    def slow(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            threading.Event().wait(0.2)
            yield frame

    pipe = Pipeline("slow")
    pipe.stage("slow", slow, [pipe.source("capture", one_after_another(make_frame))])
    ending = run(pipe, watch=interrupt, every_s=0.02)
    second.join()
    account = ending.stats.accounts[0]
    assert ending.exit_status == 128 + first
    assert account.captured == account.published


def test_a_second_interrupt_does_not_wait_for_the_drain(make_frame: FrameMaker) -> None:
    """The first Ctrl-C waits for a slow stage; the second one leaves at once, and the account still closes."""
    release = threading.Event()

    def slow(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            release.wait()
            yield frame

    pipe = Pipeline("slow", stop_timeout_s=300.0)
    pipe.stage("slow", slow, [pipe.source("capture", one_after_another(make_frame))])

    def interrupt_again() -> None:
        pipe.stopping.wait()  # two signals that come at once are one
        os.kill(os.getpid(), signal.SIGINT)

    second = threading.Thread(target=interrupt_again)

    def interrupt(stats: PipelineStats) -> None:
        if stats.accounts:
            second.start()
            os.kill(os.getpid(), signal.SIGINT)

    ending = run(pipe, watch=interrupt, every_s=0.02)
    second.join()
    assert ending.exit_status == 130
    release.set()
    assert pipe.wait(60.0)
    assert pipe.stats().unaccounted == 0


def test_our_own_errors_come_out_as_they_are() -> None:
    """The error is the stage's own, not a wrapper."""
    ending = run(failing(SourceError("clip.mp4: no such file")))
    assert isinstance(ending.error, SourceError)
    assert ending.exit_status == 1


def test_a_strangers_error_names_the_stage() -> None:
    """An error of another type is reported with the stage where it happened."""
    ending = run(failing(ZeroDivisionError("division by zero")))
    assert isinstance(ending.error, StageError)
    assert "stage 'capture' failed: division by zero" in str(ending.error)


def silent(make_frame: FrameMaker, images: int) -> Pipeline:
    """A live camera that gives so many images, and none after that."""

    def capture(stopping: threading.Event) -> Iterator[Frame]:
        yield from (make_frame(seq) for seq in range(images))
        stopping.wait()

    pipe, health = Pipeline("silent"), Health("front")
    pipe.stage("show", lambda frames: (frame for frame in frames), [pipe.source("capture", capture)])
    pipe.add_camera(health.snapshot)
    health.connecting()
    health.lost(SourceError("front: connection refused"))
    return pipe


def test_a_run_without_an_image_has_failed(make_frame: FrameMaker) -> None:
    """A run in which no camera delivers an image ends with status 1 and the reason."""
    ending = run(silent(make_frame, 0), seconds=0.1)
    assert ending.exit_status == 1
    assert str(ending.error) == "no camera delivered an image: front: front: connection refused"


def test_one_image_is_enough(make_frame: FrameMaker) -> None:
    """The camera may be away at the end."""
    ending = run(silent(make_frame, 1), seconds=0.5)
    assert (ending.exit_status, ending.error) == (0, None)


def test_an_interrupted_run_without_an_image_has_not_failed(make_frame: FrameMaker) -> None:
    """Status 130, as always."""
    ending = run(silent(make_frame, 0), watch=lambda stats: os.kill(os.getpid(), signal.SIGINT), every_s=0.02)
    assert (ending.exit_status, ending.error) == (130, None)
