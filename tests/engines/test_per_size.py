"""Several engines as one: the right one for each size, opened once and in the background, all closed."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from stream.engines.base import Engine
from stream.engines.eager import EagerEngine
from stream.engines.per_size import MAX_SIZES, EnginesBySize
from stream.engines.wrappers import CancelToken, LazyEngine
from stream.errors import EngineError
from stream.frames import Size

CPU = torch.device("cpu")
WIDE, HIGH = Size(32, 64), Size(64, 32)


class Scaled(torch.nn.Module):
    """Depth that shows which engine gave it."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.sum(1) * self.factor


class Closing(EagerEngine):
    def __init__(self, factor: float) -> None:
        super().__init__(f"times {factor:g}", lambda: Scaled(factor), device=CPU, max_batch=2)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


def engines_of(open_for: Callable[[Size, CancelToken], Engine], *shared: LazyEngine) -> EnginesBySize:
    """Until an engine is ready, depth is the plain sum."""
    return EnginesBySize("net", 2, open_for, LazyEngine(lambda: Closing(1)), shared)


def factor(engines: EnginesBySize, size: Size) -> float:
    """Which engine answers."""
    pixels = torch.rand(2, 3, *size) + 1
    return round(float((engines.infer(pixels=pixels)["depth"] / pixels.sum(1)).mean()), 3)


def worked_off(engines: EnginesBySize) -> None:
    """Wait until the background thread has nothing to do."""
    thread = engines._thread
    assert thread is not None
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stream")


def test_each_size_has_its_engine_and_each_is_opened_once() -> None:
    """A third size shares what the second has."""
    shared, asked = Closing(3), []

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        asked.append(size)
        return Closing(2) if size == WIDE else shared

    engines, sizes = engines_of(open_for), [WIDE, HIGH, WIDE, Size(32, 32)]
    for size in sizes:
        engines.prepare(size)
    assert [factor(engines, size) for size in sizes] == [2, 3, 2, 3]
    assert asked == [WIDE, HIGH, Size(32, 32)]
    assert "times 2 by torch" in engines.describe()
    assert engines.describe().count("times 3 by torch") == 1
    engines.close()


def test_the_first_images_of_a_new_size_wait_for_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """While its engine is judged, images run in float32; then it takes over; each step is logged."""
    judged, asked = threading.Event(), []

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        asked.append((size, threading.current_thread().name))
        if size == HIGH:
            assert judged.wait(10)
        return Closing(2 if size == WIDE else 3)

    engines = engines_of(open_for)
    engines.prepare(WIDE)
    for _ in range(5):
        assert [factor(engines, size) for size in (HIGH, WIDE)] == [1, 2]
    judged.set()
    worked_off(engines)
    assert [factor(engines, size) for size in (HIGH, WIDE)] == [3, 2]
    assert asked == [(WIDE, threading.current_thread().name), (HIGH, "engines of net")]
    about = [message for message in caplog.messages if str(HIGH) in message]
    assert [line.split(" ")[0] for line in about] == ["net:", "times"]
    assert about[0] == f"net: network inputs of {HIGH} run in float32 until an engine of their own is ready"
    assert about[1].endswith(f"is used for network inputs of {HIGH}")
    engines.close()


def test_files_wait_for_the_right_engine(caplog: pytest.LogCaptureFixture) -> None:
    """The first image of a size has the engine of all others; where none opens, it is what there is. No thread."""

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        if size == HIGH:
            raise EngineError("no room")
        return Closing(3)

    engines = EnginesBySize("net", 2, open_for, LazyEngine(lambda: Closing(1)), waits=True)
    assert [factor(engines, size) for size in (WIDE, HIGH, WIDE, HIGH)] == [3, 1, 3, 1]
    assert engines._thread is None
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [
        f"net: network inputs of {HIGH} stay in float32, no engine opens: no room"
    ]
    engines.close()
    with pytest.raises(EngineError, match="closed"):
        engines.infer(pixels=torch.rand(1, 3, 8, 8))


def test_an_engine_is_used_when_it_is_prepared_and_no_sooner() -> None:
    """Preparing captures graphs, which takes seconds."""
    preparing, ready = threading.Event(), threading.Event()

    class Slow(Closing):
        def prepare(self, size: Size) -> None:
            preparing.set()
            assert ready.wait(10)

    engines = engines_of(lambda size, stopping: Slow(2))
    assert factor(engines, WIDE) == 1
    assert preparing.wait(10)
    assert factor(engines, WIDE) == 1
    ready.set()
    worked_off(engines)
    assert factor(engines, WIDE) == 2
    engines.close()


def test_sizes_that_come_together_are_opened_one_after_the_other() -> None:
    """One thread opens them; a size that is prepared meanwhile waits its turn and is opened once."""
    go, asked, at_once = threading.Event(), [], [0, 0]

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        at_once[0] += 1
        at_once[1] = max(at_once)
        assert go.wait(10)
        asked.append(size)
        at_once[0] -= 1
        return Closing(2)

    engines, square = engines_of(open_for), Size(32, 32)
    for size in (WIDE, HIGH, square):
        assert factor(engines, size) == 1
    threading.Timer(0.05, go.set).start()
    engines.prepare(square)
    assert factor(engines, square) == 2
    worked_off(engines)
    assert [factor(engines, size) for size in (WIDE, HIGH)] == [2, 2]
    assert sorted(asked) == sorted([WIDE, HIGH, square])
    assert at_once[1] == 1
    engines.close()


def test_closing_ends_what_is_being_opened() -> None:
    """Ctrl-C does not wait for the gate, which takes minutes, and sizes that wait behind are not started."""
    begun, asked = threading.Event(), []

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        asked.append(size)
        begun.set()
        assert stopping.wait(10)
        stopping.check()
        raise AssertionError("nobody wants it")

    engines = engines_of(open_for)
    for size in (WIDE, HIGH):
        factor(engines, size)
    assert begun.wait(10)
    engines.close()
    assert asked == [WIDE]
    assert engines._thread is not None
    assert not engines._thread.is_alive()
    with pytest.raises(EngineError, match="closed"):
        engines.infer(pixels=torch.zeros(1, 3, *HIGH))


@pytest.mark.slow
def test_a_program_that_closes_nothing_ends_all_the_same() -> None:
    """The thread is cancelled and joined at the interpreter's exit; this test starts a process for it."""
    code = """
import threading, torch
from tests.engines.test_per_size import WIDE, engines_of, factor
begun = threading.Event()
def open_for(size, stopping):
    begun.set()
    stopping.wait(60)
    print("ended", flush=True)
    stopping.check()
engines = engines_of(open_for)
factor(engines, WIDE)
begun.wait(60)
print("answered", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "answered\nended\n", "")


@pytest.mark.parametrize("error", [EngineError("made for another card"), ValueError("a mistake of ours")])
def test_an_engine_that_does_not_open_costs_one_line(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Its images stay in float32, and images of other sizes get their engines."""

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        if size == WIDE:
            raise error
        return Closing(2)

    engines = engines_of(open_for)
    for size in (WIDE, HIGH):
        assert factor(engines, size) == 1
    worked_off(engines)
    for _ in range(3):
        assert [factor(engines, size) for size in (WIDE, HIGH)] == [1, 2]
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == [f"net: network inputs of {WIDE} stay in float32, no engine opens: {error}"]
    engines.close()


def test_one_that_cannot_be_prepared_gives_its_memory_back() -> None:
    """Unless others use it."""

    class Full(Closing):
        def prepare(self, size: Size) -> None:
            raise EngineError("no room")

    alone, many = Full(2), Full(3)
    shared = LazyEngine(lambda: many)
    engines = engines_of(lambda size, stopping: alone if size == WIDE else shared(), shared)
    for size in (WIDE, HIGH):
        with pytest.raises(EngineError, match="no room"):
            engines.prepare(size)
    assert (alone.closed, many.closed) == (1, 0)
    engines.close()
    assert many.closed == 1


def test_at_most_eight_sizes_have_engines(caplog: pytest.LogCaptureFixture) -> None:
    """Prepared for or met; the others share the one in float32, which one line says."""
    asked: list[Size] = []

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        asked.append(size)
        return Closing(2)

    engines, sizes = engines_of(open_for), [Size(8, 8 * n) for n in range(1, MAX_SIZES + 4)]
    engines.prepare(sizes[0])
    for size in sizes[1:]:
        factor(engines, size)
    worked_off(engines)
    engines.prepare(sizes[-1])
    assert [factor(engines, size) for size in sizes] == [2] * MAX_SIZES + [1] * 3
    assert asked == sizes[:MAX_SIZES]
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == [f"net: 8 network sizes have engines; others, as {sizes[MAX_SIZES]}, share one"]
    engines.close()


def test_closing_closes_everything_and_ends_it() -> None:
    """Also what was opened and then not used for any size; opening again after that is an error."""
    used, unused, between = Closing(1), Closing(2), Closing(3)
    shared = LazyEngine(lambda: unused)
    assert shared() is shared()
    others = [shared, LazyEngine(lambda: pytest.fail("never asked for"))]
    engines = EnginesBySize("net", 1, lambda size, stopping: used, LazyEngine(lambda: between), others)
    engines.infer(pixels=torch.zeros(1, 3, *WIDE))
    worked_off(engines)
    engines.close()
    engines.close()
    assert (used.closed, unused.closed, between.closed) == (1, 1, 1)
    with pytest.raises(EngineError, match="net: this engine is closed"):
        engines.infer(pixels=torch.zeros(1, 3, *WIDE))
    with pytest.raises(EngineError, match="net: this engine is closed"):
        engines.prepare(WIDE)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"image": torch.zeros(1, 3, 32, 64)}, "got: image"),
        ({"pixels": torch.zeros(3, 32, 64)}, r"\(N, 3, h, w\)"),
        ({"pixels": torch.zeros(3, 3, 32, 64)}, "1 to 2 images at once; got 3"),
    ],
)
def test_nothing_is_opened_for_what_no_engine_takes(inputs: dict[str, Any], words: str) -> None:
    """An engine costs minutes; a mistake does not."""
    engines = engines_of(lambda size, stopping: pytest.fail("opened"))
    with pytest.raises(EngineError, match=words):
        engines.infer(**inputs)


def test_a_size_without_any_engine_is_asked_for_again() -> None:
    """What failed once may be the moment's fault."""
    tries = []

    def open_for(size: Size, stopping: CancelToken) -> EagerEngine:
        tries.append(size)
        if len(tries) == 1:
            raise EngineError("out of luck")
        return Closing(1)

    engines = engines_of(open_for)
    with pytest.raises(EngineError, match="out of luck"):
        engines.prepare(WIDE)
    engines.prepare(WIDE)
    assert len(tries) == 2
    engines.close()
