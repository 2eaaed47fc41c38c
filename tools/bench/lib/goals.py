"""Compare measurements with their goals: print the table, write it into a page, choose the exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.benchmark.suite import machine_line
from tools.bench.lib.markdown_page import replace_measured


@dataclass(frozen=True, slots=True)
class GoalResult:
    """One goal, with what was measured."""

    goal: str
    """What is measured, under which conditions, and the limit."""
    measured: str
    """The value with its unit and parts."""
    met: bool


Benchmarks = Mapping[str, Callable[[], Iterator[GoalResult]]]
"""Functions that measure, by the name that ``--only`` takes."""


def run_benchmarks(benchmarks: Benchmarks, only: Iterable[str] | None, page: Path | None) -> int:
    """Run all benchmarks or ``only`` some, print the table and write it to ``page``; returns 1 if a goal is missed."""
    table = Table(title=machine_line(), title_justify="left")
    for heading in ("goal", "measured", "met"):
        table.add_column(heading)
    results = [result for name in only or benchmarks for result in benchmarks[name]()]
    for result in results:
        table.add_row(result.goal, result.measured, "yes" if result.met else "[bold red]no")
    Console().print(table)
    if page:
        rows = [f"| {each.goal} | {each.measured} | {'yes' if each.met else '**no**'} |" for each in results]
        replace_measured(page, machine_line(), ["| goal | measured | met |", "|---|---|---|", *rows])
    return 0 if all(result.met for result in results) else 1
