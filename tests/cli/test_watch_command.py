"""`watch` in front of real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipelines.cli.watch import command
from pipelines.cli.watch.command import KeyFiles, run_watch
from pipelines.cli.watch.table import Watched, watch_table
from stream.client.subscriber import Subscriber
from stream.errors import StaleFrame, UsageError
from stream.wire.codes import Compression, Encoding
from tests.client.sending import SIZE, Sending, depth_map, packed

ROOT = Path(__file__).parents[2]
LONG_S = 20.0
PERIOD_S = 0.02

Send = Callable[[Sending, int], None]


@pytest.fixture
def sending() -> Iterator[Sending]:
    with Sending() as sending:
        yield sending


@pytest.fixture
def live(sending: Sending) -> Iterator[Callable[[Send], str]]:
    """``live(send)``: from now on ``send(sending, seq)`` is called at 50 Hz, and where to read it."""
    stop, threads = threading.Event(), list[threading.Thread]()

    def start(send: Send) -> str:
        def run() -> None:
            seq = 0
            while not stop.wait(PERIOD_S):
                send(sending, seq := seq + 1)

        threads.append(threading.Thread(target=run))
        threads[0].start()
        return sending.endpoint

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def test_one_json_line_a_frame(live: Callable[[Send], str], capsys: pytest.CaptureFixture[str]) -> None:
    """All of it plain values, and a summary on the other channel."""
    depth = np.linspace(1, 2, 48, dtype=np.float32).reshape(SIZE)
    depth[0, :4] = np.nan
    endpoint = live(lambda sending, seq: sending.send(seq, depth=depth, age_s=0.05))
    assert run_watch(endpoint, ["front"], count=5, as_json=True) == 0
    captured = capsys.readouterr()
    frames = [json.loads(line) for line in captured.out.splitlines()]
    assert len(frames) == 5
    assert [frame["seq"] for frame in frames] == sorted({frame["seq"] for frame in frames})
    last = frames[-1]
    facts = ("stream", "kind", "unit", "width", "height", "encoding", "compression", "integrity", "flags", "server_id")
    assert [last[key] for key in facts] == ["front", "metric", "m", 8, 6, "f32", "raw", "clean", ["host_arrival"], 7]
    known = depth[np.isfinite(depth)]
    assert [last[key] for key in ("min", "max", "median")] == pytest.approx(
        [known.min(), known.max(), np.median(known)], abs=1e-5
    )
    assert last["known"] == pytest.approx(44 / 48, abs=1e-6)
    assert last["age_at_publish_ms"] == 50
    assert 50 <= last["age_ms"] < 1e3 * LONG_S
    assert last["publish_ns"] - last["capture_ns"] == 50_000_000
    assert captured.err.startswith("front: 5 frames in ")
    assert "0 restarts" in captured.err


@pytest.mark.slow
def test_streams_are_found_and_shown(live: Callable[[Send], str], capsys: pytest.CaptureFixture[str]) -> None:
    """One has sent its info, the other its status; of one the publisher says what is wrong."""

    def send(sending: Sending, seq: int) -> None:
        sending.tell("info/front", {"fps": 500.0})
        sending.tell("status/front", {"state": "LIVE", "fps": 50.0})
        sending.tell("status/[back]", {"state": "OFFLINE", "reason": "camera unplugged"})
        sending.send(seq, kind="relative_inverse", stream="front")

    endpoint = live(send)
    assert run_watch(endpoint, [], seconds=3.0) == 0
    out = capsys.readouterr().out
    for word in ("front", "[back]", "relative", "inverse", "8x6", "LIVE", "OFFLINE", "clean", "same"):
        assert word in out
    assert "[back]: camera unplugged" in out
    assert "front: below nine tenths of the promised 500 fps" in out
    assert "[back]: 0 frames; none has come yet; last status OFFLINE: camera unplugged" in out


@pytest.mark.slow
def test_old_frames_are_counted_instead_of_shown(
    live: Callable[[Send], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As a robot with this limit would do."""
    endpoint = live(lambda sending, seq: sending.send(seq, age_s=0.0 if seq % 2 else 60.0))
    assert run_watch(endpoint, ["front"], count=3, as_json=True, max_age_ms=30_000) == 0
    captured = capsys.readouterr()
    assert all(json.loads(line)["seq"] % 2 for line in captured.out.splitlines())
    assert "too old" in captured.err
    assert run_watch(endpoint, ["front"], seconds=2.0, max_age_ms=0.0001) == 1


@pytest.mark.slow
def test_a_stream_without_frames_is_watched_as_long_as_something_is_said_of_it(
    live: Callable[[Send], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A camera that is unplugged may be plugged in; no frame at all is a failure."""
    monkeypatch.setattr(command, "PATIENCE_S", 1.0)
    status = {"state": "OFFLINE", "reason": "camera unplugged"}
    endpoint = live(lambda sending, seq: sending.tell("status/front", status))
    assert run_watch(endpoint, ["front"], seconds=2.0, as_json=True) == 1
    text = "front: 0 frames; none has come yet; last status OFFLINE: camera unplugged"
    assert capsys.readouterr().err.strip() == text


def test_a_damaged_payload_is_a_line_too(live: Callable[[Send], str], capsys: pytest.CaptureFixture[str]) -> None:
    """The header is right: the frame is shown, with the error in the place of its values."""
    good = packed(depth_map(1), encoding=Encoding.U16, compression=Compression.ZSTD)
    endpoint = live(lambda sending, seq: sending.send_raw(good[:-4] + b"\xff" * 4))
    assert run_watch(endpoint, ["front"], count=1, as_json=True) == 0
    frame = json.loads(capsys.readouterr().out)
    assert frame["min"] is None
    assert "damaged" in frame["error"]


@pytest.mark.slow
def test_silence_is_one_line_with_what_to_check(
    sending: Sending, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No publisher; a publisher that does not have the stream; and a warning after a while."""
    monkeypatch.setattr(command, "PATIENCE_S", 1.0)
    monkeypatch.setattr(command, "WARN_AFTER_S", 0.1)
    monkeypatch.setattr(command, "WARN_UNTIL_LEFT_S", 0.0)
    unused = "tcp://127.0.0.1:9"
    for streams in (["front"], []):
        with pytest.raises(StaleFrame, match=r"127\.0\.0\.1:9.*not connected: is the publisher running"):
            run_watch(unused, streams)
        with pytest.raises(StaleFrame, match=r"127\.0\.0\.1:.*connected, but (this|no) stream is (not )?announced"):
            run_watch(sending.endpoint, streams)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert all("(Ctrl-C ends)" in line for line in lines)


@pytest.mark.slow
def test_no_warning_is_printed_for_less_than_a_second_of_waiting(
    sending: Sending, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`watch --seconds 0.5`: what it ends with says the same."""
    monkeypatch.setattr(command, "WARN_AFTER_S", 0.0)
    for streams in (["front"], []):
        with pytest.raises(StaleFrame):
            run_watch(sending.endpoint, streams, seconds=0.5)
    assert capsys.readouterr().err == ""


def test_errors_are_one_line(tmp_path: Path) -> None:
    """And nothing is connected."""
    for keys, text in (
        (KeyFiles(server=tmp_path / "a"), "go together"),
        (KeyFiles(folder=tmp_path, client=tmp_path / "a"), "not both"),
        (KeyFiles(folder=tmp_path / "absent"), "there is no folder"),
        (KeyFiles(server=tmp_path / "a", client=tmp_path / "b"), "cannot be read as a key"),
    ):
        with pytest.raises(UsageError, match=text):
            run_watch("tcp://127.0.0.1:9", ["front"], keys=keys)
    with pytest.raises(UsageError, match='cannot connect to "127'):
        run_watch("127.0.0.1:5560", [])


def test_the_table_is_no_wider_than_a_terminal(sending: Sending) -> None:
    """With a stream that has sent nothing, and one whose numbers are long."""
    with Subscriber(sending.endpoint, "front") as reader, Subscriber(sending.endpoint, "back") as silent:
        sending.wait_for("depth/front", "status/front")
        watched = [Watched(reader, None), Watched(silent, None)]
        sending.tell("status/front", {"state": "STALE", "reason": "no depth for 5.0 s"})
        for seq in (0, 100_000):
            sending.send(seq, depth=np.ones((1080, 1920), np.float32), intrinsics=None, kind="relative_inverse")
            while not watched[0].read():
                pass
        console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        with console.file:
            console.print(watch_table(watched, sending.endpoint))
            text = console.export_text()
    assert "1920x1080" in text
    assert "99999" in text
    assert "…" not in text


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`depthstream watch --json` as a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(endpoint: str, **how: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pipelines.cli.entry", "watch", endpoint, "--stream", "front", "--json"]
        started.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **how))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_with_a_summary(
    live: Callable[[Send], str], program: Callable[..., subprocess.Popen[bytes]], number: signal.Signals, status: int
) -> None:
    """And with the status of every program that was interrupted, by a person or by another program."""
    process = program(live(lambda sending, seq: sending.send(seq)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["stream"] == "front"
    process.send_signal(number)
    _, errors = process.communicate(timeout=LONG_S)
    assert process.returncode == status
    assert errors.decode().startswith("front: ")
    assert len(errors.decode().splitlines()) == 1


@pytest.mark.slow
def test_a_pipe_that_is_closed_ends_it_quietly(
    live: Callable[[Send], str], program: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """`depthstream watch ... --json | head -1`."""
    process = program(live(lambda sending, seq: sending.send(seq)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(LONG_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
