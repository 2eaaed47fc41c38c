"""The one table that a run ends with, and the same figures as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from stream.stats import Account, EdgeStats, PipelineStats, Spread, StageStats


def stats_table(stats: PipelineStats) -> Table:
    """Rate and age at each terminal, time in each step, waiting at each edge, the account, and the recipe's figures."""
    table = Table(title=f"{stats.name}: {stats.running_s:.1f} s", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for heading in ("count", "p50 ms", "p95 ms", "p99 ms", "max ms", "total s"):
        table.add_column(heading, justify="right", no_wrap=True)
    _add_terminals(table, stats)
    _add_section(table, "time in each stage")
    for stage in stats.stages:
        for step, spread in stage.steps.items():
            note = " (with waiting for the camera)" if step.startswith("capture") else ""
            table.add_row(f"  {step}{note}", *_cells(spread))
    _add_section(table, "waiting at each edge")
    for edge in stats.edges:
        table.add_row(f"  {edge.name}: blocked", *_cells(edge.blocked))
        table.add_row(f"  {' ' * len(edge.name)}  starved", *_cells(edge.starved))
    _add_account(table, stats)
    for heading, figures in stats.figures.items():
        _add_section(table, heading)
        for name, value in figures.items():
            table.add_row(f"  {name}", f"{value:.0f}" if float(value).is_integer() and value > 1 else f"{value:.3f}")
    return table


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


def _add_terminals(table: Table, stats: PipelineStats) -> None:
    for stage in terminals(stats):
        _add_section(table, f"published by {stage.name}: {stage.fps:.1f} fps")
        table.add_row("  frame age", *_cells(stage.age))


def _add_account(table: Table, stats: PipelineStats) -> None:
    drops = _all_drops(stats.stages) | _all_drops(stats.edges)
    _add_section(table, "drops by reason")
    for where, count in drops.items():
        table.add_row(f"  {where}", str(count))
    if not drops:
        table.add_row("  none", "0")
    _add_section(table, "account")
    for account in stats.accounts:
        table.add_row(f"  {_account_line(account, several=len(terminals(stats)) > 1)}")


def _account_line(account: Account, *, several: bool) -> str:
    dropped = sum(account.dropped.values())
    line = f"{account.camera}: {account.captured} captured = {account.published} published + {dropped} dropped"
    lost = f" + {account.in_flight} in flight" if account.in_flight else ""
    return f"{line}{lost}{f' ({account.terminal})' if several else ''}"


def _all_drops(places: tuple[StageStats, ...] | tuple[EdgeStats, ...]) -> dict[str, int]:
    return {
        f"{reason} at {place.name} ({camera})": count
        for place in places
        for (camera, reason), count in place.dropped.items()
    }


def _add_section(table: Table, heading: str) -> None:
    table.add_section()
    table.add_row(f"[bold]{heading}")


def _cells(spread: Spread) -> tuple[str, ...]:
    times = (spread.p50_s, spread.p95_s, spread.p99_s, spread.max_s)
    return (str(spread.count), *(f"{1e3 * t:.1f}" for t in times), f"{spread.total_s:.2f}")


def figures_line(figures: Mapping[str, float]) -> str:
    """Figures on one line, for a live status."""
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
