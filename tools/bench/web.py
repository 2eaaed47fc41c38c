"""Measure the goals of docs/reference/benchmarks/web.md: server, browser and viewers as processes, over loopback.

    python -m tools.bench.web [--only glass viewers images uploads] [--seconds 20] [--write PAGE.md]

``glass`` needs chromium and chromedriver. Run nothing else on the machine meanwhile. The exit status is 1 if a goal is
missed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any, NamedTuple

import numpy as np

import tools.bench.lib.web_processes as roles
from pipelines.benchmark.memory import resident_mib
from stream.frames import Size
from tests.rigs.browser import browser
from tools.bench.lib import time_code
from tools.bench.lib.goals import GoalResult, run_benchmarks
from tools.bench.lib.web_uploads import Client, MemorySamples, new_jpeg
from tools.bench.wire import RoleProcess, running

ROUNDS, MANY = 3, 10
SETTLE_S = 2.0
UPLOADS, UPLOAD_ROUNDS, LARGE = 64, 5, Size(2448, 3264)
IMAGES, REPEATS = 20, 5

WATCH = f"""
{time_code.READ}
const canvas = document.querySelector("[data-camera] canvas.screen"), ages = window.benchAges = [];
const mix = document.querySelector("[data-camera] .mix");
mix.value = mix.min;
mix.dispatchEvent(new Event("input", {{ bubbles: true }}));
let before = null;
(function look() {{
  const time = readTime(canvas);
  if (time !== null && time !== before) ages.push((Date.now() - time) % 2 ** 32);
  before = time ?? before;
  requestAnimationFrame(look);
}})();
"""
"""Script for the page that records, at each animation frame, the age of the image on the page's canvas."""


def glass(seconds: float) -> Iterator[GoalResult]:
    """Age of an image, from the camera's hand-over to the canvas of a real browser."""
    with running(roles.serve_live) as server, browser() as page:
        page.get(_url(server))
        page.wait_for("document.querySelector('[data-camera]')?.dataset.seq")
        Event().wait(SETTLE_S)
        page.execute_script(WATCH)
        Event().wait(SETTLE_S)
        page.execute_script("benchAges.length = 0")  # forget the ages of the first seconds
        Event().wait(seconds)
        ages = page.look("benchAges")
        version = page.capabilities["browserVersion"]
    p50, p95 = (float(np.percentile(ages, q)) for q in (50, 95))
    yield GoalResult(
        "glass to browser, 640x480 at 25 fps, tiny: p50 <= 100 ms",
        f"p50 {p50:.0f} ms, p95 {p95:.0f}; {len(ages) / seconds:.1f} images/s seen in chromium {version}",
        p50 <= 100,
    )


def viewers(seconds: float) -> Iterator[GoalResult]:
    """The server's cost with ten viewers against one, in milliseconds of CPU per image shown."""
    costs: dict[int, list[Cost]] = {0: [], 1: [], MANY: []}
    with running(roles.serve_live) as server:
        for _ in range(ROUNDS):
            for count, rounds in costs.items():
                rounds.append(_cost(server, count, seconds / ROUNDS))
    (idle, _), (one, one_encodes), (many, many_encodes) = (
        (median(cost.process_ms for cost in rounds), median(cost.encoding_ms for cost in rounds))
        for rounds in costs.values()
    )
    yield GoalResult(
        f"{MANY} viewers cost < 1.5 times the encoding of one",
        f"{many_encodes / one_encodes:.2f} times: {one_encodes:.2f} ms of CPU an image, then {many_encodes:.2f}",
        many_encodes < 1.5 * one_encodes,
    )
    yield GoalResult(
        f"the whole server takes < 1.5 times as much with {MANY} viewers as with one",
        f"{many / one:.2f} times: {idle:.1f} ms of CPU an image without, {one:.1f} with one, {many:.1f} with {MANY}",
        many < 1.5 * one,
    )
    share = min(cost.least_share for rounds in costs.values() for cost in rounds)
    yield GoalResult(
        "no viewer misses more than a tenth", f"the slowest saw {share:.2f} of what was shown", share >= 0.9
    )


def images(_: float) -> Iterator[GoalResult]:
    """An image that was sent before against new images."""
    with running(roles.serve_images, {}) as server:
        client = Client(_url(server))
        client.post(new_jpeg(0, roles.SIZE))
        computed, cached = [], []
        for number in range(1, IMAGES + 1):
            jpeg = new_jpeg(number, roles.SIZE)
            computed.append(client.timed_s(jpeg, "miss"))
            cached += [client.timed_s(jpeg, "hit") for _ in range(REPEATS)]
    ratio = median(computed) / median(cached)
    measured = (
        f"{ratio:.0f} times: {1e3 * median(computed):.1f} ms, then {1e3 * median(cached):.2f} (640x480, tiny, png)"
    )
    yield GoalResult("an image seen before is answered >= 20 times faster", measured, ratio >= 20)


def uploads(_: float) -> Iterator[GoalResult]:
    """Rounds of many large images that are uploaded at the same time."""
    statuses, peaks = Counter[int](), []
    with running(roles.serve_images, {"cache_mb": 16}) as server, ThreadPoolExecutor(UPLOADS) as clients:
        url, pid = _url(server), server.process.pid
        assert pid is not None
        jpegs = [new_jpeg(number, LARGE) for number in range(UPLOADS)]
        Client(url).post(jpegs[0])
        idle = resident_mib(pid)
        for _ in range(UPLOAD_ROUNDS):
            with MemorySamples(pid) as samples:
                statuses.update(clients.map(lambda jpeg: Client(url).post(jpeg)[0], jpegs))
            peaks.append(max(samples))
    yield GoalResult(
        f"{UPLOADS} uploads at once: no error but 429",
        ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())) + f" ({UPLOAD_ROUNDS} rounds)",
        set(statuses) <= {200, 429} and statuses[200] > 0,
    )
    decoded = UPLOADS * LARGE.height * LARGE.width * 3 / 2**20
    yield GoalResult(
        "and memory is bounded: no round takes a tenth more than the first",
        f"{idle:.0f} MiB before, then at most {', '.join(f'{peak:.0f}' for peak in peaks)} MiB; all decoded at once "
        f"would be {decoded:.0f} MiB ({LARGE}, {sum(map(len, jpegs)) / 2**20:.0f} MiB as JPEG)",
        max(peaks) <= 1.1 * peaks[0] and peaks[0] - idle < 0.5 * decoded,
    )


class Cost(NamedTuple):
    """CPU time that the server needs for each image it shows, in milliseconds, and the viewers' share of images."""

    process_ms: float
    encoding_ms: float
    least_share: float
    """Share of the images, 0..1, that the slowest viewer received."""


def _cost(server: RoleProcess, count: int, seconds: float) -> Cost:
    if count == 0:
        return _measure(server, seconds, list)
    with running(roles.look, _url(server), count) as viewing:
        Event().wait(SETTLE_S)
        return _measure(server, seconds, lambda: _request(viewing, "count"))


def _measure(server: RoleProcess, seconds: float, received: Callable[[], list[int]]) -> Cost:
    """``received`` returns the number of images that each viewer received since the last call."""
    received()
    before = _request(server, "cost")
    Event().wait(seconds)
    process_s, encoding_s, shown = (end - start for end, start in zip(_request(server, "cost"), before, strict=True))
    share = min([count / shown for count in received()], default=1.0)
    return Cost(1e3 * process_s / shown, 1e3 * encoding_s / shown, share)


def _url(server: RoleProcess) -> str:
    return str(_request(server, "url"))


def _request(process: RoleProcess, message: str) -> Any:
    process.pipe.send(message)
    return process.pipe.recv()


BENCHMARKS: dict[str, Callable[[float], Iterator[GoalResult]]] = {
    "glass": glass,
    "viewers": viewers,
    "images": images,
    "uploads": uploads,
}


def main() -> int:
    """Measure, print and write; returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS)
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of glass, and of each number of viewers")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    arguments = parser.parse_args()
    benchmarks = {name: lambda run=run: run(arguments.seconds) for name, run in BENCHMARKS.items()}
    return run_benchmarks(benchmarks, arguments.only, arguments.write)


if __name__ == "__main__":
    sys.exit(main())
