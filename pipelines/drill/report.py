"""What a drill found: as a table for people, as JSON for programs, and as a page of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipelines.drill.run import Run
from pipelines.drill.verdict import Finding, Verdict, judge

COLOURS: dict[Verdict, str] = {
    "kept": "green",
    "broken": "bold red",
    "inconclusive": "yellow",
    "not measured": "dim",
    "no promise": "cyan",
}
WORTH_A_LINE: tuple[Verdict, ...] = ("broken", "inconclusive", "no promise")
PAGE_FIGURES = ("never young", "never behind", "stall noticed", "back", "images go on", "clock named")
"""Promises whose figures a page shows for each scenario."""
QUEUE_S, STANDSTILL_S = 0.2, 0.1
"""Shorter ones are not worth a line."""
BEGIN_MARK, END_MARK = "<!-- drill: begin -->", "<!-- drill: end -->"
"""In a page: what is between them is replaced by the newest results."""


@dataclass(frozen=True)
class Outcome:
    """One scenario with one camera."""

    camera: str
    scenario: str
    what: str
    fault_s: float
    frames: int
    standstill_s: float
    """The longest time for which this machine let a thread wait."""
    queue_s: float
    """The longest queue in front of a slow link, in seconds of the stream."""
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, run: Run) -> Outcome:
        figures = (run.fault.length_s, len(run.shown), run.noise.longest_s, run.longest_queue_s)
        return cls(run.camera, run.scenario.name, run.scenario.what, *figures, tuple(judge(run)))

    @property
    def line(self) -> Text:
        """The scenario in one line, with what is not as it should be."""
        line = Text.assemble((f"{self.scenario:14}", "bold"), f" {_counts(self.findings)}")
        for finding in self.findings:
            if finding.verdict in WORTH_A_LINE:
                line.append(f"\n{'':15}{_sentence(finding)}", COLOURS[finding.verdict])
        if self.queue_s > QUEUE_S:
            line.append(f"\n{'':15}up to {self.queue_s:.1f} s of the stream waited in front of the product", "dim")
        if self.standstill_s > STANDSTILL_S:
            line.append(f"\n{'':15}this machine stood still for up to {self.standstill_s:.2f} s", "dim")
        return line


@dataclass
class Report:
    """All outcomes of a drill so far."""

    cameras: dict[str, str] = field(default_factory=dict)
    """Name to address, without passwords."""
    outcomes: list[Outcome] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    """Scenarios that a camera could not go through, and why."""
    is_complete: bool = False
    """False if the drill was interrupted, or a camera delivered nothing."""

    def skip(self, camera: str, scenario: str, why: str) -> None:
        self.skipped.append({"camera": camera, "scenario": scenario, "why": why})

    def count(self, verdict: Verdict) -> int:
        return sum(finding.verdict == verdict for outcome in self.outcomes for finding in outcome.findings)

    @property
    def exit_status(self) -> int:
        """1 if a promise is broken."""
        return int(self.count("broken") > 0)


def report_json(report: Report) -> dict[str, Any]:
    """The report as JSON's types."""
    counts = {verdict.replace(" ", "_"): report.count(verdict) for verdict in get_args(Verdict)}
    outcomes = [asdict(outcome) for outcome in report.outcomes]
    rest = {"scenarios": outcomes, "skipped": report.skipped, "complete": report.is_complete}
    return {"cameras": report.cameras, **counts, **rest}


def report_table(report: Report) -> Group:
    """Each promise with the worst figure of all scenarios, and below it what was broken or could not be decided."""
    table = Table(title="promises", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.padding = (0, 1, 0, 0)
    for heading in ("promise", "promised", "worst measured", "in", "verdict"):
        table.add_column(heading, overflow="fold")  # in a narrow terminal all wrap, so that no verdict is cut off
    for promise, found in _by_promise(report.outcomes):
        outcome, worst = max(found, key=_badness)
        cells = (promise, worst.promised, worst.measured, outcome.scenario if worst.value else "")
        table.add_row(*map(Text, cells), Text(_counts(finding for _, finding in found), COLOURS[worst.verdict]))
    return Group(table, *_lines(report))


def report_page(report: Report) -> str:
    """The report as Markdown, without a heading: a table of the promises and one of the scenarios."""
    lines = [f"Measured with {', '.join(report.cameras.values())}. {_standstill(report)}", ""]
    lines += ["| Promise | Promised | Worst measured | In | |", "|---|---|---|---|---|"]
    for promise, found in _by_promise(report.outcomes):
        outcome, worst = max(found, key=_badness)
        cells = (promise, worst.promised, worst.measured, outcome.scenario if worst.value else "-")
        lines.append(f"| {' | '.join(cells)} | {_counts(finding for _, finding in found)} |")
    lines += ["", f"| Scenario | What happens | {' | '.join(PAGE_FIGURES)} |", f"|---|---|{'---|' * len(PAGE_FIGURES)}"]
    for outcome in report.outcomes:
        measured = {finding.promise: _in_page(finding) for finding in outcome.findings}
        figures = " | ".join(measured.get(promise, "-") for promise in PAGE_FIGURES)
        lines.append(f"| {outcome.scenario} | {outcome.what}, {outcome.fault_s:.1f} s | {figures} |")
    return "\n".join((*lines, "", ""))


def with_report(page: str, report: Report) -> str:
    """``page`` with the report between its marks, or at its end if it has none."""
    before, begin, rest = page.partition(BEGIN_MARK)
    after = rest.partition(END_MARK)[2] if begin else "\n"
    return f"{before if begin else page.rstrip() + chr(10) * 2}{BEGIN_MARK}\n\n{report_page(report)}{END_MARK}{after}"


def _by_promise(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, Sequence[tuple[Outcome, Finding]]]]:
    """The findings of each promise, in the order in which the promises first appear."""
    found: dict[str, list[tuple[Outcome, Finding]]] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            found.setdefault(finding.promise, []).append((outcome, finding))
    yield from found.items()


def _counts(findings: Iterable[Finding]) -> str:
    """How many promises are kept, how many broken, and so on."""
    counts = Counter(finding.verdict for finding in findings)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in get_args(Verdict) if counts[verdict])


def _badness(found: tuple[Outcome, Finding]) -> tuple[int, float]:
    _, finding = found
    order: tuple[Verdict, ...] = ("not measured", "kept", "no promise", "inconclusive", "broken")
    excess = (finding.value or 0.0) - (finding.limit or 0.0)
    return order.index(finding.verdict), excess


def _lines(report: Report) -> Iterator[Text]:
    for outcome in report.outcomes:
        for finding in outcome.findings:
            if finding.verdict in WORTH_A_LINE:
                where = f" {outcome.camera}, {outcome.scenario}: "
                yield Text(f"{where}{_sentence(finding)}", COLOURS[finding.verdict])
    for skipped in report.skipped:
        yield Text(f" {skipped['camera']}, {skipped['scenario']}: left out: {skipped['why']}", "dim")
    yield Text(f" {_standstill(report)}", "dim")


def _standstill(report: Report) -> str:
    standstill_s = max((outcome.standstill_s for outcome in report.outcomes), default=0.0)
    return f"This machine let a thread wait for up to {1e3 * standstill_s:.0f} ms."


def _in_page(finding: Finding) -> str:
    return finding.measured if finding.verdict == "kept" else f"**{finding.measured}** ({finding.verdict})"


def _sentence(finding: Finding) -> str:
    why = f" ({finding.why})" if finding.why else ""
    promised = f", promised {finding.promised}" if finding.limit is not None else ""
    return f"{finding.verdict}: {finding.promise}: {finding.measured}{promised}{why}"
