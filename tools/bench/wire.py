"""Measure the promises of docs/wire-benchmarks.md: publisher and readers in processes of their own, over loopback.

    python -m tools.bench.wire [--only throughput slow frozen restart] [--write docs/wire-benchmarks.md]

Nothing else should run on the machine meanwhile. The exit status is 1 when a promise is not kept.
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
from tools.bench.lib.goals import Kept, answer

ROUNDS, COUNT_S = 3, 4.0
FROZEN_S, FREE_S = 30.0, 15.0
FPS = 30.0


class Started(NamedTuple):
    """A process that plays a role, and the way to talk to it."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection

    def ask(self, what: str) -> list[tuple[float, float, int]]:
        self.pipe.send(what)
        result: list[tuple[float, float, int]] = self.pipe.recv()
        return result


@contextmanager
def playing(role: Callable[..., None], *arguments: object, wait: bool = True) -> Iterator[Started]:
    """``role`` in a fresh process; told to end on leaving, and killed if it does not."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=role, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        if wait:
            assert ours.recv() == "ready"
        yield Started(process, ours)
    finally:
        with suppress(BrokenPipeError):  # it may have come to its end already
            ours.send("end")
        process.join(2)
        process.kill()
        process.join()


def throughput() -> Iterator[Kept]:
    """Frames a second that reach one reader, ours and others' in turns."""
    pairs: dict[str, list[float]] = {"ours": [], "raw": [], "imagezmq": []}
    for _ in range(ROUNDS):
        pairs["ours"].append(_count((roles.publish, None), roles.count_ours))
        pairs["raw"].append(max(_count((roles.publish_raw, copy), roles.count_raw) for copy in (True, False)))
        pairs["imagezmq"].append(_count_imagezmq())
    ours, raw, other = (median(pairs[name]) for name in ("ours", "raw", "imagezmq"))
    statistics = f"{ours:.0f} fps; {{:.2f}} of {{:.0f}} fps (median of {ROUNDS})"
    yield Kept(
        "640x480 float32 to one reader >= 0.9 of bare pyzmq", statistics.format(ours / raw, raw), ours >= 0.9 * raw
    )
    yield Kept("and >= 3 times imagezmq", statistics.format(ours / other, other), ours >= 3 * other)


def slow() -> Iterator[Kept]:
    """A reader that looks five times a second at a stream of thirty."""
    endpoint = free_endpoint()
    with playing(roles.publish, endpoint, FPS), playing(roles.read_ages, endpoint, 0.2, 20.0) as reader:
        Event().wait(20.0)
        seen = reader.ask("ages")[5:]
    ages = [age for _, age, _ in seen if not math.isnan(age)]
    stale = len(seen) - len(ages)
    p95 = float(np.percentile(ages, 95))
    yield Kept(
        "a 5 Hz reader of a 30 Hz stream reads frames <= 20 ms old (p95)",
        f"{p95:.1f} ms (p50 {np.percentile(ages, 50):.1f}); {stale} of {len(seen)} reads found none so fresh",
        p95 <= 20 and stale <= len(seen) // 100,
    )


def frozen() -> Iterator[Kept]:
    """Four readers, one of them stopped by SIGSTOP for half a minute."""
    endpoint = free_endpoint()
    with (
        playing(roles.publish, endpoint, FPS) as publisher,
        playing(roles.read_ages, endpoint, None, 0.0) as first,
        playing(roles.read_ages, endpoint, None, 0.0) as second,
        playing(roles.read_ages, endpoint, None, 0.0) as third,
        playing(roles.read_ages, endpoint, None, 0.0) as victim,
    ):
        Event().wait(3.0)
        for reader in (first, second, third, victim):
            reader.ask("ages")
        Event().wait(FREE_S)
        before = _p95([age for reader in (first, second, third) for _, age, _ in reader.ask("ages")])
        memory_before = publisher.ask("memory")
        assert victim.process.pid is not None
        os.kill(victim.process.pid, signal.SIGSTOP)
        Event().wait(FROZEN_S)
        meanwhile = _p95([age for reader in (first, second, third) for _, age, _ in reader.ask("ages")])
        memory_after = publisher.ask("memory")
        woken = monotonic()
        os.kill(victim.process.pid, signal.SIGCONT)
        Event().wait(2.0)
        fresh = [at - woken for at, age, _ in victim.ask("ages") if at > woken and age < 100]
    change = meanwhile / before - 1
    growth = float(memory_after) - float(memory_before)  # type: ignore[arg-type]
    yield Kept(
        "one of four readers frozen for 30 s: the others' age p95 changes by <= 20 %",
        f"{before:.2f} ms, then {meanwhile:.2f} ms ({100 * change:+.0f} %)",
        change <= 0.2,
    )
    yield Kept("the publisher's memory stays within 10 MB", f"{growth:+.1f} MB", abs(growth) <= 10)
    first_fresh = min(fresh, default=math.inf)
    yield Kept("the frozen one is fresh <= 1 s after waking", f"{first_fresh:.2f} s", first_fresh <= 1)


def restart() -> Iterator[Kept]:
    """A publisher is killed and started again at the same place."""
    times = []
    for _ in range(ROUNDS):
        endpoint = free_endpoint()
        with playing(roles.read_ages, endpoint, None, 0.0) as reader:
            with playing(roles.publish, endpoint, FPS) as publisher:
                Event().wait(2.0)
                publisher.process.kill()
                publisher.process.join()
            with playing(roles.publish, endpoint, FPS):
                bound = monotonic()
                Event().wait(3.0)
                seen = reader.ask("ages")
            servers = list(dict.fromkeys(server for _, _, server in seen if server))
            assert len(servers) == 2, servers
            times.append(next(at for at, _, server in seen if server == servers[1]) - bound)
    text = f"{median(times):.2f} s (longest of {ROUNDS}: {max(times):.2f} s)"
    yield Kept("a restarted publisher is read again in <= 2 s", text, max(times) <= 2)


def _count(sender: tuple[Callable[..., None], object], reader: Callable[..., None]) -> float:
    endpoint = free_endpoint()
    role, argument = sender
    with playing(role, endpoint, argument), playing(reader, endpoint, COUNT_S, wait=False) as counting:
        fps: float = counting.pipe.recv()
        return fps


def _count_imagezmq() -> float:
    endpoint = free_endpoint()
    with playing(roles.count_imagezmq, endpoint, COUNT_S) as counting, playing(roles.publish_imagezmq, endpoint):
        fps: float = counting.pipe.recv()
        return fps


def _p95(ages: list[float]) -> float:
    return float(np.nanpercentile(ages, 95))


def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


QUESTIONS = {"throughput": throughput, "slow": slow, "frozen": frozen, "restart": restart}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS)
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    arguments = parser.parse_args()
    return answer(QUESTIONS, arguments.only, arguments.write)


if __name__ == "__main__":
    sys.exit(main())
