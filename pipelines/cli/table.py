"""The one table that a run ends with, and the same figures as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stream.stats import Account, EdgeStats, PipelineStats, Spread, StageStats


def stats_table(stats: PipelineStats) -> Group:
    """Rate and age at each terminal, time in each step, waiting at each edge; drops, account, the recipe's figures."""
    table = Table(title=f"[bold]{stats.name}[/], {stats.running_s:.1f} s", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("milliseconds")
    for heading in ("count", "p50", "p95", "p99", "max", "total s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in terminals(stats):
        _add_section(table, f"published by {stage.name}: {stage.fps:.1f} fps", [("frame age", stage.age)])
    steps = [(_step_label(step), spread) for stage in stats.stages for step, spread in stage.steps.items()]
    _add_section(table, "time in each stage", steps)
    for edge in stats.edges:
        _add_section(table, f"{edge.name}: {edge.policy}", [("blocked", edge.blocked), ("starved", edge.starved)])
    return Group(table, *_lines(stats))


def terminals(stats: PipelineStats) -> list[StageStats]:
    """The stages from which frames leave the pipeline."""
    ends = {account.terminal for account in stats.accounts}
    return [stage for stage in stats.stages if stage.name in ends]


def stats_json(stats: PipelineStats) -> dict[str, Any]:
    """The snapshot as plain JSON values; drops are listed with camera and reason."""
    data = asdict(stats)
    data["unaccounted"] = stats.unaccounted
    for place in (*data["stages"], *data["edges"]):
        place["dropped"] = [{"camera": c, "reason": r, "frames": n} for (c, r), n in place["dropped"].items()]
    for entry, account in zip(data["accounts"], stats.accounts, strict=True):
        entry["in_flight"] = account.in_flight
        entry["line"] = str(account)
    return data


def _step_label(step: str) -> str:
    return f"{step} (with its wait)" if step.startswith("capture") else step


def _lines(stats: PipelineStats) -> Iterator[Text]:
    """Text, not markup: cameras are named after files, and files may be called "[1080p] clip"."""
    drops = [*_drops(stats.stages), *_drops(stats.edges)]
    yield _line("drops by reason", ", ".join(drops) or "none")
    several = len(terminals(stats)) > 1
    for account in stats.accounts:
        yield _line("account", _account_line(account, several=several))
    for heading, figures in stats.figures.items():
        yield _line(heading, ", ".join(f"{name} {_number(value)}" for name, value in figures.items()))
    for note in stats.notes:
        yield Text(f" {note}")


def _line(heading: str, content: str) -> Text:
    return Text.assemble((f" {heading:16}", "bold"), f"  {content}")


def _account_line(account: Account, *, several: bool) -> str:
    dropped = sum(account.dropped.values())
    line = f"{account.camera}: {account.captured} captured = {account.published} published + {dropped} dropped"
    lost = f" + {account.in_flight} in flight" if account.in_flight else ""
    return f"{line}{lost}{f' ({account.terminal})' if several else ''}"


def _drops(places: tuple[StageStats, ...] | tuple[EdgeStats, ...]) -> Iterator[str]:
    for place in places:
        for (camera, reason), count in place.dropped.items():
            yield f"{count} {reason} at {place.name} ({camera})"


def _add_section(table: Table, heading: str, rows: Iterable[tuple[str, Spread]]) -> None:
    table.add_section()
    table.add_row(Text(heading, style="bold"))
    for name, spread in rows:
        times = (spread.p50_s, spread.p95_s, spread.p99_s, spread.max_s)
        cells = (f"{1e3 * t:.1f}" for t in times)
        table.add_row(Text(f"  {name}"), str(spread.count), *cells, f"{spread.total_s:.2f}")


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"
