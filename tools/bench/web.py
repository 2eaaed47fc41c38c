"""Measure the promises of docs/web-benchmarks.md: server, browser and viewers in processes of their own, over loopback.

    python -m tools.bench.web [--only glass viewers images uploads] [--seconds 20] [--write docs/web-benchmarks.md]

Needs chromium and chromedriver (``glass``). Nothing else should run on the machine meanwhile. The exit status is 1 when
a promise is not kept.
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
from stream.frames import Size
from tests.rigs.browser import browser
from tools.bench.lib import time_code
from tools.bench.lib.goals import Kept, answer
from tools.bench.lib.memory import resident_mb
from tools.bench.lib.web_uploads import Client, Peak, new_jpeg
from tools.bench.wire import Started, playing

ROUNDS, MANY = 3, 10
SETTLE_S = 2.0
UPLOADS, UPLOAD_ROUNDS, LARGE = 64, 5, Size(2448, 3264)
IMAGES, AGAIN = 20, 5

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
"""Runs in the page: at each of the browser's own frames, how old the image is that stands on the page's canvas."""


def glass(seconds: float) -> Iterator[Kept]:
    """From a camera's hand-over to the canvas of a real browser."""
    with playing(roles.serve_live) as server, browser() as page:
        page.get(_url(server))
        page.wait_for("document.querySelector('[data-camera]')?.dataset.seq")
        Event().wait(SETTLE_S)
        page.execute_script(WATCH)
        Event().wait(SETTLE_S)
        page.execute_script("benchAges.length = 0")
        Event().wait(seconds)
        ages = page.look("benchAges")
        version = page.capabilities["browserVersion"]
    p50, p95 = (float(np.percentile(ages, q)) for q in (50, 95))
    yield Kept(
        "glass to browser, 640x480 at 25 fps, tiny: p50 <= 100 ms",
        f"p50 {p50:.0f} ms, p95 {p95:.0f}; {len(ages) / seconds:.1f} images/s seen in chromium {version}",
        p50 <= 100,
    )


def viewers(seconds: float) -> Iterator[Kept]:
    """What ten viewers cost the server, against one; milliseconds of CPU for each image that is shown."""
    costs: dict[int, list[Cost]] = {0: [], 1: [], MANY: []}
    with playing(roles.serve_live) as server:
        for _ in range(ROUNDS):
            for count, seen in costs.items():
                seen.append(_cost(server, count, seconds / ROUNDS))
    (idle, _), (one, one_encodes), (many, many_encodes) = (
        (median(cost.process_ms for cost in seen), median(cost.encoding_ms for cost in seen)) for seen in costs.values()
    )
    yield Kept(
        f"{MANY} viewers cost < 1.5 times the encoding of one",
        f"{many_encodes / one_encodes:.2f} times: {one_encodes:.2f} ms of CPU an image, then {many_encodes:.2f}",
        many_encodes < 1.5 * one_encodes,
    )
    yield Kept(
        f"the whole server takes < 1.5 times as much with {MANY} viewers as with one",
        f"{many / one:.2f} times: {idle:.1f} ms of CPU an image without, {one:.1f} with one, {many:.1f} with {MANY}",
        many < 1.5 * one,
    )
    share = min(cost.least_share for seen in costs.values() for cost in seen)
    yield Kept("no viewer misses more than a tenth", f"the slowest saw {share:.2f} of what was shown", share >= 0.9)


def images(_: float) -> Iterator[Kept]:
    """The same image again, against one that was never seen."""
    with playing(roles.serve_images, {}) as server:
        client = Client(_url(server))
        client.post(new_jpeg(0, roles.SIZE))
        computed, cached = [], []
        for number in range(1, IMAGES + 1):
            jpeg = new_jpeg(number, roles.SIZE)
            computed.append(client.timed(jpeg, "miss"))
            cached += [client.timed(jpeg, "hit") for _ in range(AGAIN)]
    ratio = median(computed) / median(cached)
    measured = (
        f"{ratio:.0f} times: {1e3 * median(computed):.1f} ms, then {1e3 * median(cached):.2f} (640x480, tiny, png)"
    )
    yield Kept("an image seen before is answered >= 20 times faster", measured, ratio >= 20)


def uploads(_: float) -> Iterator[Kept]:
    """Many large images at the same time, again and again."""
    statuses, peaks = Counter[int](), []
    with playing(roles.serve_images, {"cache_mb": 16}) as server, ThreadPoolExecutor(UPLOADS) as clients:
        url, pid = _url(server), server.process.pid
        assert pid is not None
        jpegs = [new_jpeg(number, LARGE) for number in range(UPLOADS)]
        Client(url).post(jpegs[0])
        idle = resident_mb(pid)
        for _ in range(UPLOAD_ROUNDS):
            with Peak(pid) as peak:
                statuses.update(clients.map(lambda jpeg: Client(url).post(jpeg)[0], jpegs))
            peaks.append(max(peak))
    yield Kept(
        f"{UPLOADS} uploads at once: no error but 429",
        ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())) + f" ({UPLOAD_ROUNDS} rounds)",
        set(statuses) <= {200, 429} and statuses[200] > 0,
    )
    decoded = UPLOADS * LARGE.height * LARGE.width * 3 / 2**20
    yield Kept(
        "and memory is bounded: no round takes a tenth more than the first",
        f"{idle:.0f} MB before, then at most {', '.join(f'{peak:.0f}' for peak in peaks)} MB; all decoded at once "
        f"would be {decoded:.0f} MB ({LARGE}, {sum(map(len, jpegs)) / 2**20:.0f} MB as JPEG)",
        max(peaks) <= 1.1 * peaks[0] and peaks[0] - idle < 0.5 * decoded,
    )


class Cost(NamedTuple):
    """What the server needs for each image that it shows, milliseconds of CPU, and how the viewers fare."""

    process_ms: float
    encoding_ms: float
    least_share: float
    """Of the images, that the slowest viewer received."""


def _cost(server: Started, count: int, seconds: float) -> Cost:
    if count == 0:
        return _measured(server, seconds, list)
    with playing(roles.look, _url(server), count) as looking:
        Event().wait(SETTLE_S)
        return _measured(server, seconds, lambda: _ask(looking, "count"))


def _measured(server: Started, seconds: float, seen: Callable[[], list[int]]) -> Cost:
    """``seen``: images that each viewer received since it was asked last."""
    seen()
    before = _ask(server, "cost")
    Event().wait(seconds)
    process_s, encoding_s, shown = (then - now for then, now in zip(_ask(server, "cost"), before, strict=True))
    share = min([count / shown for count in seen()], default=1.0)
    return Cost(1e3 * process_s / shown, 1e3 * encoding_s / shown, share)


def _url(server: Started) -> str:
    return str(_ask(server, "url"))


def _ask(started: Started, what: str) -> Any:
    started.pipe.send(what)
    return started.pipe.recv()


QUESTIONS: dict[str, Callable[[float], Iterator[Kept]]] = {
    "glass": glass,
    "viewers": viewers,
    "images": images,
    "uploads": uploads,
}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS)
    parser.add_argument("--seconds", type=float, default=30.0, help="of glass, and of each number of viewers")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    arguments = parser.parse_args()
    asked = {name: lambda question=question: question(arguments.seconds) for name, question in QUESTIONS.items()}
    return answer(asked, arguments.only, arguments.write)


if __name__ == "__main__":
    sys.exit(main())
