"""The statistics table at the end of a run (``stream.runtime.stats_json`` has the same numbers as JSON)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stream.runtime.meters import DurationSummary
from stream.runtime.stats import Account, EdgeStats, PipelineStats, StageStats
from stream.runtime.stats_json import terminals


def stats_table(stats: PipelineStats) -> Group:
    """Frame rate and age at each terminal, time in each step, waiting at each edge; below it the cameras, drops,
    accounts and the statistics that the recipe adds."""
    table = Table(title=f"[bold]{stats.name}[/], {stats.running_s:.1f} s", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("milliseconds")
    for heading in ("count", "p50", "p95", "p99", "max", "total s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in terminals(stats):
        _add_section(table, f"published by {stage.name}: {stage.fps:.1f} fps", [("frame age", stage.age)])
    steps = [(_step_label(step), summary) for stage in stats.stages for step, summary in stage.steps.items()]
    _add_section(table, "time in each stage", steps)
    for edge in stats.edges:
        _add_section(table, f"{edge.name}: {edge.policy}", [("blocked", edge.blocked), ("starved", edge.starved)])
    return Group(table, *([_cameras_table(stats)] if stats.cameras else []), *_lines(stats))


def _cameras_table(stats: PipelineStats) -> Table:
    """The health of the cameras, as narrow as possible, because a terminal has 80 columns."""
    table = Table(title="cameras", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.padding = 0
    for heading in ("", "state", "grade"):
        table.add_column(heading, no_wrap=True)
    for heading in ("recon-\nnects", "stalls", "clean", "tainted", "frozen", "black", "age, ms\np50/p99"):
        table.add_column(heading, justify="right", no_wrap=True)
    for camera in stats.cameras:
        ages = [s.age_by_camera[camera.name] for s in terminals(stats) if camera.name in s.age_by_camera]
        table.add_row(
            *(Text(camera.name), camera.state, camera.grade.replace("unknown", "-")),
            *(str(camera.reconnects), str(camera.stalls)),
            *(str(camera.integrity.get(kind, 0)) for kind in ("clean", "tainted", "frozen", "black")),
            f"{1e3 * ages[0].p50_s:.0f}/{1e3 * ages[0].p99_s:.0f}" if ages else "-",
        )
    return table


def _step_label(step: str) -> str:
    # a capture step blocks until the camera delivers the next frame, so its time is mostly waiting
    return f"{step} (with its wait)" if step.startswith("capture") else step


def _lines(stats: PipelineStats) -> Iterator[Text]:
    """The lines below the tables. They are Text, not markup: cameras are named after files such as "[1080p] clip"."""
    for camera in stats.cameras:
        yield _line(camera.name, camera.trouble or camera.about)
        if camera.clock:
            yield Text(f"{'':19}{camera.clock}", style="yellow")
        yield from (Text(f"{'':19}{line}", style="dim") for line in camera.log)
    drops = [*_drops(stats.stages), *_drops(stats.edges)]
    yield _line("drops by reason", ", ".join(drops) or "none")
    several = len(terminals(stats)) > 1
    for account in stats.accounts:
        yield _line("account", _account_line(account, several=several))
    for heading, statistics in stats.statistics.items():
        yield _line(heading, ", ".join(f"{name} {_number(value)}" for name, value in statistics.items()))
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


def _add_section(table: Table, heading: str, rows: Iterable[tuple[str, DurationSummary]]) -> None:
    table.add_section()
    table.add_row(Text(heading, style="bold"))
    for name, summary in rows:
        times = (summary.p50_s, summary.p95_s, summary.p99_s, summary.max_s)
        cells = (f"{1e3 * t:.1f}" for t in times)
        table.add_row(Text(f"  {name}"), str(summary.count), *cells, f"{summary.total_s:.2f}")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "-"  # unknown, such as the flicker of a camera before which nothing has stood still yet
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"
