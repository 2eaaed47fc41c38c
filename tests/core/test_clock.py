"""Deadlines and paces by a clock of our own; the wall clock changes nothing."""

from __future__ import annotations

import threading

import pytest

from stream.core.clock import NS_PER_S, Deadline, Pacer, Stamp


class FakeClock:
    """A monotonic clock that tests move, and that moves by itself during a wait on ``FakeStopping``."""

    def __init__(self) -> None:
        self.now_ns = 5 * NS_PER_S

    def __call__(self) -> int:
        return self.now_ns


class FakeStopping(threading.Event):
    """Waiting on it moves the clock instead of taking time."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock, self.waits_s = clock, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits_s.append(timeout)
        self.clock.now_ns += round(timeout * NS_PER_S)
        return self.is_set()


def test_a_deadline_is_shared_not_extended() -> None:
    """Time that one wait used is gone for the next."""
    clock = FakeClock()
    deadline = Deadline.after(2.0, clock)
    clock.now_ns += NS_PER_S
    assert deadline.left_s == pytest.approx(1.0)
    clock.now_ns += 3 * NS_PER_S
    assert deadline.left_s == 0.0
    assert deadline.passed


def test_a_pacer_holds_its_time_line() -> None:
    """A slow step shortens the next wait; the line does not drift."""
    clock = FakeClock()
    stopping = FakeStopping(clock)
    pacer = Pacer(stopping, now_ns=clock)
    for line_s, work_s in ((0.0, 0.03), (0.04, 0.06), (0.08, 0.0), (0.12, 0.0)):
        pacer.wait_until(line_s)
        clock.now_ns += round(work_s * NS_PER_S)
    assert stopping.waits_s == pytest.approx([0.01, 0.02], abs=1e-6)


def test_a_pacer_far_behind_starts_over() -> None:
    """After a long pause there is no burst to catch up."""
    clock = FakeClock()
    stopping = FakeStopping(clock)
    pacer = Pacer(stopping, now_ns=clock)
    pacer.wait_until(0.0)
    clock.now_ns += 60 * NS_PER_S
    pacer.wait_until(0.04)
    pacer.wait_until(0.08)
    assert stopping.waits_s == pytest.approx([0.04])


def test_a_pacer_says_when_to_stop() -> None:
    """Setting the event makes ``wait_until`` return False at once."""
    stopping = threading.Event()
    pacer = Pacer(stopping)
    assert pacer.wait_until(0.0)
    stopping.set()
    assert not pacer.wait_until(100.0)


def test_age_ignores_the_wall_clock() -> None:
    """A stepped wall clock does not make a frame older."""
    stamp = Stamp(mono_ns=1 * NS_PER_S, unix_ns=0)
    assert stamp.age_s(now_ns=3 * NS_PER_S) == 2.0
