"""Ask the questions of `depthstream bench` and write the answers to a Markdown page.

    python tools/bench_pipeline.py --write docs/benchmarks.md

Nothing else should run on the machine meanwhile. The exit status is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from pipelines.benchmark.questions import QUESTIONS, ROUND_S, ROUNDS, Answer, machine_line
from pipelines.cli.bench import answer, bench_table

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> int:
    """Measure, print, and put the table between the page's two markers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    parser.add_argument("--live-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    answers = answer(list(QUESTIONS), arguments.live_seconds)
    Console().print(bench_table(answers))
    if arguments.write:
        replace_measured(arguments.write, markdown(answers))
    return 0 if all(a.holds for a in answers) else 1


def markdown(answers: list[Answer]) -> str:
    """The table and what it was measured on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "opencv-python", "av", "numpy"))
    rows = [f"| {a.question} | {a.measured} | {a.goal} | {'yes' if a.holds else '**no**'} |" for a in answers]
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {machine_line()}; {packages}. {ROUNDS} rounds of {ROUND_S:g} s each.",
            "",
            "| question | measured | goal | holds |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def replace_measured(page: Path, text: str) -> None:
    """Put ``text`` between the markers. Raises ValueError when the page has none."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: the lines {BEGIN} and {END} are missing")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
