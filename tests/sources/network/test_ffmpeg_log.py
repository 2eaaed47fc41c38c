"""FFmpeg's log, told apart by camera."""

from __future__ import annotations

import logging
import threading

import av
import pytest

from stream.sources.network.ffmpeg_log import KEPT_LINES, FfmpegLog
from stream.sources.network.url import CameraUrl


def say(text: str, level: int = av.logging.ERROR) -> None:
    av.logging.log(level, "decoder", text)


def test_lines_are_heard_where_they_are_said() -> None:
    """Inside ``with``, errors and warnings, in order."""
    log = FfmpegLog(str)
    with log.heard() as lines:
        say("broken")
        say("odd", av.logging.WARNING)
        say("chatter", av.logging.INFO)
    say("elsewhere")
    assert [(line.level, line.origin, line.text) for line in lines] == [
        (16, "decoder", "broken"),
        (24, "decoder", "odd"),
    ]
    assert log.kept == ("decoder: broken", "decoder: odd")


def test_each_thread_hears_itself() -> None:
    """Two cameras that say the same at the same time: neither line is swallowed, neither goes astray."""
    logs = [FfmpegLog(str) for _ in range(4)]
    barrier = threading.Barrier(len(logs))

    def camera(number: int) -> None:
        for turn in range(50):
            barrier.wait(10)
            with logs[number].heard() as lines:
                say("the same words")
                say(f"{number} {turn}")
            assert [line.text for line in lines] == ["the same words", f"{number} {turn}"]

    threads = [threading.Thread(target=camera, args=(number,)) for number in range(len(logs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for number, log in enumerate(logs):
        assert log.kept[-1] == f"decoder: {number} 49"


def test_ten_lines_are_kept_and_repetitions_once() -> None:
    """What was said last matters most."""
    log = FfmpegLog(str)
    with log.heard():
        for index in range(3 * KEPT_LINES):
            say(f"line {index // 2}")
    assert len(log.kept) == KEPT_LINES
    assert log.kept[-1] == f"decoder: line {3 * KEPT_LINES // 2 - 1}"
    assert len(set(log.kept)) == KEPT_LINES
    log.forget()
    assert log.kept == ()


def test_lines_survive_an_exception() -> None:
    """It is then that they are wanted."""
    log = FfmpegLog(str)

    def fail() -> None:
        with log.heard():
            say("the reason")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert log.kept == ("decoder: the reason",)


def test_no_line_tells_a_password() -> None:
    """Of this camera in any spelling, of any other in a URL."""
    log = FfmpegLog(CameraUrl("rtsp://admin:p%40ssw%C3%B6rd@cam/x").scrub)
    with log.heard():
        say("opening rtsp://admin:p%40ssw%C3%B6rd@cam/x and http://other:hidden@host/y failed")
        say("sent p@ssw\u00f6rd")
    assert "hidden" not in " ".join(log.kept)
    assert "ssw" not in " ".join(log.kept)


def test_what_nobody_asked_for_stays_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Listening to cameras must not make other parts of FFmpeg talk to the user."""
    with FfmpegLog(str).heard():
        pass
    say("other business")
    assert logging.getLogger("libav").handlers
    assert "other business" not in "".join(capfd.readouterr())
