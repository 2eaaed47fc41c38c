"""`depthstream bench`: the questions of docs/benchmarks.md on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.benchmark.suite import QUESTIONS, Answer, ask, machine_line
from pipelines.cli.json_file import check_writable, console_beside, write_json
from stream.core.suggest import nearest
from stream.errors import UsageError

MIDAS = "MiDaS_small at 256x256 with random weights: speed only"
RAN = {
    "file": MIDAS,
    "tutorial": MIDAS,
    "networks": "networks: tiny and MiDaS_small at 256x192 with random weights: speed only",
    "live": MIDAS,
    "start": "start: tiny",
}
"""Which network answers a question."""


def run_bench(only: list[str] | None, *, seconds: float, json_file: Path | None) -> int:
    """Ask, print the table; the exit status is 1 when a goal is missed."""
    for name in only or ():
        if name not in QUESTIONS:
            raise UsageError(f'no question "{name}"{nearest(name, QUESTIONS)}')
    if json_file is not None:
        check_writable(json_file)
    answers = answer(only or list(QUESTIONS), seconds)
    console_beside(json_file).print(bench_table(answers, only or QUESTIONS))
    if json_file is not None:
        write_json(json_file, {"machine": machine_line(), "answers": [asdict(a) for a in answers]})
    return 0 if all(a.holds for a in answers) else 1


def answer(questions: list[str], live_s: float) -> list[Answer]:
    """All answers, with a line on standard error that says what runs."""
    err = Console(stderr=True)
    with err.status("making the clip") as status:
        return list(ask(questions, live_s, status.update))


def bench_table(answers: list[Answer], questions: Sequence[str]) -> Table:
    """One row an answer, and what ran."""
    table = Table(title=machine_line(), title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("question", "measured", "goal", "holds"):
        table.add_column(heading)
    for a in answers:
        table.add_row(a.question, a.measured, a.goal, "yes" if a.holds else "[bold red]no")
    table.caption = "; ".join(dict.fromkeys(RAN[name] for name in QUESTIONS if name in questions))
    return table
