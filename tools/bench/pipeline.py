"""Run the benchmarks of `depthstream bench` and write their table into a Markdown page.

    python -m tools.bench.pipeline --write docs/reference/benchmarks/pipeline.md

Run nothing else on the machine meanwhile. The exit status is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pipelines.benchmark.suite import BENCHMARKS, ROUND_S, ROUNDS, Measurement, machine_line
from pipelines.cli.bench.suite import bench_table, measure
from tools.bench.lib.markdown_page import replace_measured


def main() -> int:
    """Measure, print, and write the table between the page's two markers; returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    parser.add_argument("--live-seconds", type=float, default=60.0, help="duration of the live benchmark")
    arguments = parser.parse_args()
    measurements = measure(BENCHMARKS, arguments.live_seconds)
    Console().print(bench_table(measurements, BENCHMARKS))
    if arguments.write:
        replace_measured(arguments.write, machine_line(), rows(measurements))
    return 0 if all(each.met for each in measurements) else 1


def rows(measurements: list[Measurement]) -> list[str]:
    """The lines of a Markdown table."""
    return [
        f"{ROUNDS} rounds of {ROUND_S:g} s each.",
        "",
        "| benchmark | measured | goal | met |",
        "|---|---|---|---|",
        *(f"| {m.name} | {m.measured} | {m.goal} | {'yes' if m.met else '**no**'} |" for m in measurements),
    ]


if __name__ == "__main__":
    sys.exit(main())
