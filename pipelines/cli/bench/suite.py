"""`depthstream bench`: the benchmarks of docs/reference/benchmarks/pipeline.md on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.benchmark.suite import BENCHMARKS, Measurement, machine_line, run_suite
from pipelines.cli.json_file import check_writable, table_console, write_json
from stream.core.suggest import nearest
from stream.errors import UsageError

MIDAS = "MiDaS_small at 256x256 with random weights: speed only"
NETWORKS = {
    "file": MIDAS,
    "tutorial": MIDAS,
    "networks": "networks: tiny and MiDaS_small at 256x192 with random weights: speed only",
    "live": MIDAS,
    "start": "start: tiny",
}
"""The network and input size that each benchmark runs."""


def run_bench_suite(only: Sequence[str] | None, *, seconds: float, json_file: Path | None) -> int:
    """Run the benchmarks and print the table; the exit status is 1 if a goal is missed."""
    for name in only or ():
        if name not in BENCHMARKS:
            raise UsageError(f'no benchmark "{name}"{nearest(name, BENCHMARKS)}')
    if json_file is not None:
        check_writable(json_file)
    measurements = measure(only or BENCHMARKS, seconds)
    table_console(json_file).print(bench_table(measurements, only or BENCHMARKS))
    if json_file is not None:
        write_json(json_file, {"machine": machine_line(), "measurements": [asdict(each) for each in measurements]})
    return 0 if all(each.met for each in measurements) else 1


def measure(benchmarks: Sequence[str], live_s: float) -> list[Measurement]:
    """Run the benchmarks, with the current step shown on standard error."""
    err = Console(stderr=True)
    with err.status("making the clip") as status:
        return list(run_suite(benchmarks, live_s, status.update))


def bench_table(measurements: Sequence[Measurement], benchmarks: Sequence[str]) -> Table:
    """The table with one row per measurement; the caption names the networks."""
    table = Table(title=machine_line(), title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("benchmark", "measured", "goal", "met"):
        table.add_column(heading)
    for each in measurements:
        table.add_row(each.name, each.measured, each.goal, "yes" if each.met else "[bold red]no")
    table.caption = "; ".join(dict.fromkeys(NETWORKS[name] for name in BENCHMARKS if name in benchmarks))
    return table
