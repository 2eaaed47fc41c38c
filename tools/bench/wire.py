"""Measure the goals of docs/reference/benchmarks/wire.md: publisher and readers as processes, over loopback.

    python -m tools.bench.wire [--only throughput slow frozen restart] [--write docs/reference/benchmarks/wire.md]

Run nothing else on the machine meanwhile. The exit status is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic
from typing import NamedTuple

import numpy as np

import tools.bench.lib.wire_processes as roles
from tools.bench.lib.goals import GoalResult, run_benchmarks

ROUNDS, COUNT_S = 3, 4.0
FROZEN_S, FREE_S = 30.0, 15.0
FPS = 30.0


class RoleProcess(NamedTuple):
    """A process that runs one of the functions in ``lib``, and the pipe to it."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection

    def request(self, message: str) -> list[tuple[float, float, int]]:
        self.pipe.send(message)
        result: list[tuple[float, float, int]] = self.pipe.recv()
        return result


@contextmanager
def running(role: Callable[..., None], *arguments: object, wait: bool = True) -> Iterator[RoleProcess]:
    """Run ``role`` in a fresh process. On leaving it is sent "end", and is killed if it has not ended 2 s later."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=role, args=(theirs, *arguments))
    process.start()
    theirs.close()  # or the pipe would not break when the process ends
    try:
        if wait:
            assert ours.recv() == "ready"
        yield RoleProcess(process, ours)
    finally:
        with suppress(BrokenPipeError):  # it may have ended already
            ours.send("end")
        process.join(2)
        process.kill()
        process.join()


def throughput() -> Iterator[GoalResult]:
    """Frames per second that reach one reader: ours and other libraries in alternating rounds."""
    rates: dict[str, list[float]] = {"ours": [], "raw": [], "imagezmq": []}
    for _ in range(ROUNDS):
        rates["ours"].append(_count((roles.publish, None), roles.count_ours))
        rates["raw"].append(max(_count((roles.publish_raw, copy), roles.count_raw) for copy in (True, False)))
        rates["imagezmq"].append(_count_imagezmq())
    ours, raw, other = (median(rates[name]) for name in ("ours", "raw", "imagezmq"))
    measured = f"{ours:.0f} fps; {{:.2f}} of {{:.0f}} fps (median of {ROUNDS})"
    yield GoalResult(
        "640x480 float32 to one reader >= 0.9 of bare pyzmq", measured.format(ours / raw, raw), ours >= 0.9 * raw
    )
    yield GoalResult("and >= 3 times imagezmq", measured.format(ours / other, other), ours >= 3 * other)


def slow() -> Iterator[GoalResult]:
    """A reader at 5 Hz of a stream at 30 Hz."""
    endpoint = free_endpoint()
    with running(roles.publish, endpoint, FPS), running(roles.read_ages, endpoint, 0.2, 20.0) as reader:
        Event().wait(20.0)
        samples = reader.request("ages")[5:]  # without the first second
    ages = [age for _, age, _ in samples if not math.isnan(age)]
    stale = len(samples) - len(ages)
    p95 = float(np.percentile(ages, 95))
    yield GoalResult(
        "a 5 Hz reader of a 30 Hz stream reads frames <= 20 ms old (p95)",
        f"{p95:.1f} ms (p50 {np.percentile(ages, 50):.1f}); {stale} of {len(samples)} reads found none so fresh",
        p95 <= 20 and stale <= len(samples) // 100,
    )


def frozen() -> Iterator[GoalResult]:
    """Four readers, one of them stopped by SIGSTOP for half a minute."""
    endpoint = free_endpoint()
    with (
        running(roles.publish, endpoint, FPS) as publisher,
        running(roles.read_ages, endpoint, None, 0.0) as first,
        running(roles.read_ages, endpoint, None, 0.0) as second,
        running(roles.read_ages, endpoint, None, 0.0) as third,
        running(roles.read_ages, endpoint, None, 0.0) as victim,
    ):
        Event().wait(3.0)
        for reader in (first, second, third, victim):
            reader.request("ages")
        Event().wait(FREE_S)
        before = _p95([age for reader in (first, second, third) for _, age, _ in reader.request("ages")])
        memory_before = publisher.request("memory")
        assert victim.process.pid is not None
        os.kill(victim.process.pid, signal.SIGSTOP)
        Event().wait(FROZEN_S)
        meanwhile = _p95([age for reader in (first, second, third) for _, age, _ in reader.request("ages")])
        memory_after = publisher.request("memory")
        woken = monotonic()
        os.kill(victim.process.pid, signal.SIGCONT)
        Event().wait(2.0)
        fresh = [at - woken for at, age, _ in victim.request("ages") if at > woken and age < 100]
    change = meanwhile / before - 1
    growth = float(memory_after) - float(memory_before)  # type: ignore[arg-type]
    yield GoalResult(
        "one of four readers frozen for 30 s: the others' age p95 changes by <= 20 %",
        f"{before:.2f} ms, then {meanwhile:.2f} ms ({100 * change:+.0f} %)",
        change <= 0.2,
    )
    yield GoalResult("the publisher's memory stays within 10 MiB", f"{growth:+.1f} MiB", abs(growth) <= 10)
    first_fresh = min(fresh, default=math.inf)
    yield GoalResult("the frozen one is fresh <= 1 s after waking", f"{first_fresh:.2f} s", first_fresh <= 1)


def restart() -> Iterator[GoalResult]:
    """A publisher that is killed and started again at the same endpoint."""
    times = []
    for _ in range(ROUNDS):
        endpoint = free_endpoint()
        with running(roles.read_ages, endpoint, None, 0.0) as reader:
            with running(roles.publish, endpoint, FPS) as publisher:
                Event().wait(2.0)
                publisher.process.kill()
                publisher.process.join()
            with running(roles.publish, endpoint, FPS):
                bound = monotonic()
                Event().wait(3.0)
                samples = reader.request("ages")
            servers = list(dict.fromkeys(server for _, _, server in samples if server))
            assert len(servers) == 2, servers
            times.append(next(at for at, _, server in samples if server == servers[1]) - bound)
    text = f"{median(times):.2f} s (longest of {ROUNDS}: {max(times):.2f} s)"
    yield GoalResult("a restarted publisher is read again in <= 2 s", text, max(times) <= 2)


def _count(sender: tuple[Callable[..., None], object], reader: Callable[..., None]) -> float:
    endpoint = free_endpoint()
    role, argument = sender
    with running(role, endpoint, argument), running(reader, endpoint, COUNT_S, wait=False) as counting:
        fps: float = counting.pipe.recv()
        return fps


def _count_imagezmq() -> float:
    endpoint = free_endpoint()
    with running(roles.count_imagezmq, endpoint, COUNT_S) as counting, running(roles.publish_imagezmq, endpoint):
        fps: float = counting.pipe.recv()
        return fps


def _p95(ages: list[float]) -> float:
    return float(np.nanpercentile(ages, 95))


def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


BENCHMARKS = {"throughput": throughput, "slow": slow, "frozen": frozen, "restart": restart}


def main() -> int:
    """Measure, print and write; returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS)
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    arguments = parser.parse_args()
    return run_benchmarks(BENCHMARKS, arguments.only, arguments.write)


if __name__ == "__main__":
    sys.exit(main())
