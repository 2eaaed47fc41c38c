"""Promises and how far from them we are: a table in the terminal, the measured part of a page, an exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.benchmark.suite import machine_line
from tools.bench.lib.markdown_page import replace_measured


@dataclass(frozen=True, slots=True)
class Kept:
    """One promise and how far from it we are."""

    promise: str
    measured: str
    holds: bool


Questions = Mapping[str, Callable[[], Iterator[Kept]]]


def answer(questions: Questions, only: Iterable[str] | None, page: Path | None) -> int:
    """Ask, print, write; the exit status: 1 when a promise is not kept."""
    table = Table(title=machine_line(), title_justify="left")
    for heading in ("promise", "measured", "kept"):
        table.add_column(heading)
    answers = [kept for name in only or questions for kept in questions[name]()]
    for kept in answers:
        table.add_row(kept.promise, kept.measured, "yes" if kept.holds else "[bold red]no")
    Console().print(table)
    if page:
        rows = [f"| {a.promise} | {a.measured} | {'yes' if a.holds else '**no**'} |" for a in answers]
        replace_measured(page, machine_line(), ["| promise | measured | kept |", "|---|---|---|", *rows])
    return 0 if all(kept.holds for kept in answers) else 1
