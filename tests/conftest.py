"""What every test gets: a guard against threads left behind, and small frames to work with."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator

import numpy as np
import pytest
from zmq.utils.garbage import GarbageCollectorThread

from stream.core.clock import Stamp
from stream.engines.cpu_setup import wait_without_spinning
from stream.frames import Frame

FrameMaker = Callable[..., Frame]
Report = pytest.TestReport

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background of a shell
wait_without_spinning()  # before any test loads torch: two test runs beside each other would stand still


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Report, Report]:
    """With FAIL_WITHOUT_CUDA=1, for machines that have a GPU, a test that needs one fails where it would be skipped."""
    report = yield
    if report.skipped and os.environ.get("FAIL_WITHOUT_CUDA") == "1" and item.get_closest_marker("cuda"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome, report.longrepr = "failed", f"FAIL_WITHOUT_CUDA=1: {reason.removeprefix('Skipped: ')}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the files with most slow tests first, so that parallel workers end at about the same time."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])  # stable: the order within a file stays


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    """A test that starts threads ends them."""
    before = set(threading.enumerate())
    yield
    started = set(threading.enumerate()) - before
    left = [thread for thread in started if not _lives_as_long_as_the_process(thread)]
    for thread in left:
        thread.join(2.0)
    still = [thread.name for thread in left if thread.is_alive()]
    assert not still, f"threads left behind: {still}"


def _lives_as_long_as_the_process(thread: threading.Thread) -> bool:
    """tqdm's, and the one that pyzmq starts with the first message that is not copied."""
    return isinstance(thread, GarbageCollectorThread) or thread.name.startswith(("Tqdm", "tmonitor"))


@pytest.fixture
def make_frame() -> FrameMaker:
    """Build a small frame: ``make_frame(seq=3, camera="left")``."""

    def make(seq: int = 0, camera: str = "cam0", height: int = 6, width: int = 8, level: int = 128) -> Frame:
        image = np.full((height, width, 3), level, np.uint8)
        image.flags.writeable = False
        return Frame(image, camera, seq, Stamp.now(media_s=seq / 25))

    return make


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread: no rounding depends on the number of cores, and a busy machine does not stall it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
