"""FFmpeg's log, separated by camera."""

from __future__ import annotations

import logging
import threading

import av
import pytest

from stream.sources.network.ffmpeg_log import AV_LOG_ERROR, KEPT_LINES, MOST_LINES, FfmpegLog
from stream.sources.network.url import CameraUrl


def say(text: str, level: int = av.logging.ERROR) -> None:
    av.logging.log(level, "decoder", text)


def test_lines_are_captured_inside_the_block() -> None:
    """Errors and warnings inside ``with`` are captured in order."""
    log = FfmpegLog(str)
    with log.capture() as lines:
        say("broken")
        say("odd", av.logging.WARNING)
        say("chatter", av.logging.INFO)
    say("elsewhere")
    assert [(line.level, line.origin, line.text) for line in lines] == [
        (16, "decoder", "broken"),
        (24, "decoder", "odd"),
    ]
    assert log.last_lines == ("decoder: broken", "decoder: odd")


def test_each_thread_captures_its_own_lines() -> None:
    """Two cameras that log the same line at the same time both get it."""
    logs = [FfmpegLog(str) for _ in range(4)]
    barrier = threading.Barrier(len(logs))

    def camera(number: int) -> None:
        for turn in range(50):
            barrier.wait(10)
            with logs[number].capture() as lines:
                say("the same words")
                say(f"{number} {turn}")
            assert [line.text for line in lines] == ["the same words", f"{number} {turn}"]

    threads = [threading.Thread(target=camera, args=(number,)) for number in range(len(logs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for number, log in enumerate(logs):
        assert log.last_lines[-1] == f"decoder: {number} 49"


def test_ten_lines_are_kept_and_repetitions_once() -> None:
    """The newest lines matter most."""
    log = FfmpegLog(str)
    with log.capture():
        for index in range(3 * KEPT_LINES):
            say(f"line {index // 2}")
    assert len(log.last_lines) == KEPT_LINES
    assert log.last_lines[-1] == f"decoder: line {3 * KEPT_LINES // 2 - 1}"
    assert len(set(log.last_lines)) == KEPT_LINES
    log.clear()
    assert log.last_lines == ()


def test_lines_survive_an_exception() -> None:
    """Lines are needed most after an exception."""
    log = FfmpegLog(str)

    def fail() -> None:
        with log.capture():
            say("the reason")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert log.last_lines == ("decoder: the reason",)


def test_no_line_contains_a_password() -> None:
    """This holds for this camera's password in any encoding, and any other in a URL."""
    log = FfmpegLog(CameraUrl("rtsp://admin:p%40ssw%C3%B6rd@cam/x").scrub)
    with log.capture():
        say("opening rtsp://admin:p%40ssw%C3%B6rd@cam/x and http://other:hidden@host/y failed")
        say("sent p@ssw\u00f6rd")
    assert "hidden" not in " ".join(log.last_lines)
    assert "ssw" not in " ".join(log.last_lines)


def test_other_lines_of_ffmpeg_stay_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Capturing a camera's lines must not print other lines of FFmpeg."""
    with FfmpegLog(str).capture():
        pass
    say("other business")
    assert logging.getLogger("libav").handlers
    assert "other business" not in "".join(capfd.readouterr())


def test_of_very_many_lines_the_first_are_read_and_the_rest_count_as_an_error() -> None:
    """A hostile image causes a million; what is left out must not make a broken image look right."""
    log, scrubbed = FfmpegLog(lambda text: scrubbed.append(text) or text), []  # type: ignore[func-returns-value]
    with log.capture() as lines:
        for number in range(3 * MOST_LINES):
            say(f"{number} skipping", av.logging.WARNING)
    assert len(scrubbed) == MOST_LINES
    assert (lines[-1].level, lines[-1].text) == (AV_LOG_ERROR, f"{2 * MOST_LINES} more lines were left out")
