"""Ask the questions of `depthstream bench` and write the answers to a Markdown page.

    python -m tools.bench.pipeline --write docs/benchmarks.md

Nothing else should run on the machine meanwhile. The exit status is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from pipelines.benchmark.suite import QUESTIONS, ROUND_S, ROUNDS, Answer, machine_line
from pipelines.cli.bench.suite import answer, bench_table
from tools.bench.lib.markdown_page import replace_measured


def main() -> int:
    """Measure, print, and put the table between the page's two markers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="page whose measured part is replaced")
    parser.add_argument("--live-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    answers = answer(list(QUESTIONS), arguments.live_seconds)
    Console().print(bench_table(answers, QUESTIONS))
    if arguments.write:
        replace_measured(arguments.write, machine_line(), rows(answers))
    return 0 if all(a.holds for a in answers) else 1


def rows(answers: list[Answer]) -> list[str]:
    """A Markdown table."""
    return [
        f"{ROUNDS} rounds of {ROUND_S:g} s each.",
        "",
        "| question | measured | goal | holds |",
        "|---|---|---|---|",
        *(f"| {a.question} | {a.measured} | {a.goal} | {'yes' if a.holds else '**no**'} |" for a in answers),
    ]


if __name__ == "__main__":
    sys.exit(main())
