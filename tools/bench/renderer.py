"""Views that one core renders per second: training views of two sizes, and frames of the synthetic camera.

    python -m tools.bench.renderer

Run nothing else on the machine meanwhile. The kinds alternate, and the median round is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import torch
from rich.console import Console
from rich.table import Table

from pipelines.benchmark.suite import machine_line
from stream.frames import Size
from stream.scenes.renderer.render import render
from stream.scenes.world.tours import tour
from tools.train.train_tiny import LARGE_VIEWS, SMALL_VIEWS
from tools.train.views import Recipe, render_chunk

VIEWS = 16
CAMERA = Size(240, 320)


def main() -> None:
    """Measure the kinds in alternating rounds and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kinds: dict[str, Callable[[int], object]] = {
        f"training, {SMALL_VIEWS[0]}, with film": partial(_chunk, SMALL_VIEWS[0]),
        f"training, {LARGE_VIEWS[0]}, with film": partial(_chunk, LARGE_VIEWS[0]),
        f"synthetic camera, {CAMERA}": _frames,
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(-1, arguments.rounds):  # the first round fills the caches
        for kind, work in kinds.items():
            start = perf_counter()
            work(number + 1)
            times[kind].append(perf_counter() - start)
    table = Table(title=f"{machine_line()}; one thread, views kept a second", title_justify="left")
    table.add_column("views")
    table.add_column("a second", justify="right")
    for kind, each in times.items():
        table.add_row(kind, f"{VIEWS / median(each[1:]):.1f}")
    Console().print(table)


def _chunk(size: Size, number: int) -> object:
    return render_chunk(Recipe(1, (size,), VIEWS), number)


def _frames(number: int) -> object:
    shown = tour(0)
    return [render([shown.at(number + i / 12)], shown.atlas, CAMERA, softness=0.08) for i in range(VIEWS)]


if __name__ == "__main__":
    main()
