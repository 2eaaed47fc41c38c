"""The log for machines: every line an object, every event one line, with camera and stage where they are known."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import entry
from pipelines.cli.json_log import set_up_json
from stream.errors import SourceError
from stream.runtime.pipeline import Pipeline
from stream.sources.health import Health
from stream.sources.reconnect import Reconnecting

LOGGERS = ("", "stream", "pipelines")
log = logging.getLogger("stream.test")


class Lines(io.StringIO):
    """What was written, line by line."""

    @property
    def events(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    written = Lines()
    set_up_json(verbose=True, handler=logging.StreamHandler(written))
    yield written
    logging.captureWarnings(False)
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_an_event_is_one_line_with_time_level_and_origin(lines: Lines) -> None:
    """UTC with microseconds; line breaks are escaped, and everything is ASCII."""
    log.warning("two\nlines of %s", "Größe")
    assert lines.getvalue().isascii()
    (event,) = lines.events
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.pop("time"))
    assert event == {
        "level": "warning",
        "logger": "stream.test",
        "message": "two\nlines of Größe",
        "thread": "MainThread",
    }


def test_camera_and_stage_are_known_from_the_stages_thread(lines: Lines) -> None:
    """A capture stage is its camera's; other stages say which they are; threads that are no stage say nothing."""

    def speak(items: Iterable[Any]) -> Iterator[Any]:
        log.info("at work")
        yield from items

    def listen(stopping: threading.Event) -> Iterator[Any]:
        log.info("at work")
        yield from ()

    pipe = Pipeline("speaking")
    pipe.stage("depth", speak, [pipe.source("capture.front", listen)])
    with pipe:
        assert pipe.wait(10.0)
    helper = threading.Thread(target=lambda: log.info("at work"), name="publisher")
    helper.start()
    helper.join()
    events = [event for event in lines.events if event["message"] == "at work"]
    where = {event["thread"]: (event.get("camera"), event.get("stage")) for event in events}
    expected = {"capture.front": ("front", "capture.front"), "depth": (None, "depth"), "publisher": (None, None)}
    assert where == expected


def test_a_camera_that_is_not_there_is_an_event_of_its_camera(lines: Lines) -> None:
    """From the real record of a lost camera, password and all."""

    class Absent:
        log_lines = ()

        def __enter__(self) -> Absent:
            raise SourceError("cannot open rtsp://admin:s3cret@10.0.0.7/main: connection refused")

        def __exit__(self, *exc_info: object) -> None: ...

        def frames(self, stopping: threading.Event) -> Iterator[Any]:
            yield from ()

        def describe(self) -> str:
            return "a camera"

    health = Health("front")
    source = Reconnecting(Absent, health)
    pipe = Pipeline("waiting")
    pipe.stage("depth", iter, [pipe.source("capture.front", source.frames)])
    with pipe:
        while health.snapshot().state != "waiting":
            threading.Event().wait(0.005)
    event = next(event for event in lines.events if event["level"] == "warning")
    assert (event["camera"], event["stage"]) == ("front", "capture.front")
    assert (
        "camera front: not available (cannot open rtsp://admin:***@10.0.0.7/main: connection refused)"
        in event["message"]
    )


def test_what_a_record_says_of_itself_wins(lines: Lines) -> None:
    """Threads that serve many cameras name the one they speak of."""
    log.warning("late", extra={"camera": "attic", "stage": "publish"})
    (event,) = lines.events
    assert (event["camera"], event["stage"]) == ("attic", "publish")


def test_a_traceback_is_one_field_without_passwords(lines: Lines) -> None:
    """Also those of the causes, and the token of an address."""
    try:
        try:
            raise OSError("cannot open rtsp://admin:s3cret@cam/main")
        except OSError as error:
            raise ValueError("http://10.0.0.1:8080/?token=t0ken&x=1 is of no use") from error
    except ValueError:
        log.exception("it failed")
    (event,) = lines.events
    assert event["message"] == "it failed"
    assert event["error"].startswith("Traceback (most recent call last):\n")
    assert "rtsp://admin:***@cam/main" in event["error"]
    assert "?token=***&x=1 is of no use" in event["error"]
    assert "s3cret" not in lines.getvalue()
    assert "t0ken" not in lines.getvalue()


def test_libraries_warn_in_json_too(lines: Lines) -> None:
    """Their log, from warnings on, and Python's own warnings."""
    logging.getLogger("some.library").warning("beware")
    logging.getLogger("some.library").info("never mind")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # again: catch_warnings has put the usual way in place
        warnings.warn("old ways", FutureWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert [(event["logger"], event["level"]) for event in lines.events] == [
        ("some.library", "warning"),
        ("py.warnings", "warning"),
    ]


def test_many_threads_never_mix_their_lines(lines: Lines) -> None:
    """Every line is whole."""

    def speak(name: str) -> None:
        for number in range(200):
            log.info("%s %d %s", name, number, "x" * 200)

    threads = [threading.Thread(target=speak, args=(f"thread {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines.events) == 800


@pytest.mark.slow
def test_a_command_that_fails_says_so_in_json(tmp_path: Path) -> None:
    """The real command: its one line on standard error is an event, with the traceback if --debug is given."""

    def run(*options: str) -> tuple[int, list[dict[str, str]]]:
        words = [sys.executable, "-m", "pipelines", *options, "run", str(tmp_path / "none.toml")]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]

    status, (event,) = run("--log-json")
    assert (status, event["level"], event["logger"]) == (2, "error", "pipelines.cli")
    assert "none.toml" in event["message"]
    assert "error" not in event
    status, events = run("--log-json", "--debug")
    assert status == 2
    assert events[-1]["error"].startswith("Traceback")


def test_without_the_option_a_failure_is_a_line_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: Lines
) -> None:
    """The way it always was; nothing goes to the machines' log."""
    monkeypatch.setattr(sys, "argv", ["depthstream", "run", str(tmp_path / "none.toml")])
    with suppress(SystemExit):
        entry.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("depthstream: ")
    assert lines.events == []
