"""docs/how-to/read-depth.md is right: its programs run against a real sender."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from stream.client.age import Clocks
from stream.client.health import ReaderHealth
from stream.client.link import LinkState
from tests.client.sending import Sending

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "how-to" / "read-depth.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
ADDRESS = "tcp://127.0.0.1:5560"


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A stream of 20 Hz that ends after 30 frames."""
    stop = threading.Event()

    def run(sending: Sending) -> None:
        sending.wait_for("depth/front", seconds=30)
        for seq in range(30):
            sending.tell("info/front", {"model": "tiny", "fps": 20.0})
            sending.send(seq)
            if stop.wait(0.05):
                return
        stop.wait(30)

    with Sending() as sending:
        thread = threading.Thread(target=run, args=(sending,))
        thread.start()
        yield sending.endpoint
        stop.set()
        thread.join()


def run(program: str, endpoint: str) -> str:
    assert ADDRESS in program
    command = [sys.executable, "-W", "error", "-c", program.replace(ADDRESS, endpoint)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_loop_drives_and_stops(endpoint: str) -> None:
    """It drives while frames come, and stops when they end."""
    program = PROGRAMS[0].replace("range(20)", "range(60)").replace("max_age_ms=300", "max_age_ms=150")
    lines = run(program, endpoint).splitlines()
    assert sum(line.startswith("drive: nearest") for line in lines) >= 3
    assert lines[-1].startswith(f"STOP: depth/front at {endpoint}: no frame of at most 150 ms; the newest is ")


def test_the_point_cloud(endpoint: str) -> None:
    """48 pixels."""
    assert run(PROGRAMS[1], endpoint).startswith("48 points, the nearest ")


def test_the_health(endpoint: str) -> None:
    """The printed fields exist. Info arrives on another socket than the frames, so the program waits for it."""
    wait = "while not reader.health.info:\n        reader.read(timeout_s=10)\n    health = reader.health"
    first, second = run(PROGRAMS[2].replace("health = reader.health", wait), endpoint).splitlines()
    assert first.startswith("True ")
    assert "connected" in first
    assert second == "tiny None None"


def test_every_word_is_explained() -> None:
    """All fields of health, all that link and clocks can be."""
    words = [*get_type_hints(ReaderHealth), *get_args(LinkState), *get_args(Clocks)]
    missing = [word for word in words if f"`{word}`" not in TEXT and word not in ("received", "clock_offset_ms")]
    assert not missing
