"""The table of `depthstream eval`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipelines.evaluation.agreement import SHORT_SIDES_PX
from pipelines.evaluation.flicker import Flicker
from pipelines.evaluation.result import Result
from pipelines.evaluation.sample import DataSet
from pipelines.evaluation.summary import METRIC_NAMES, by_group, means, medians
from stream.inference.estimator import Estimator
from stream.metrics.steadiness import Change

LABELS = {
    "spearman": "Spearman",
    "abs_rel": "AbsRel",
    "rmse_m": "RMSE, metres",
    "delta1": "delta1",
    "delta2": "delta2",
    "delta3": "delta3",
    "ordinal_error": "pairs ordered wrongly",
    "edge_share": "edges made in place",
    "self_agreement": f"agreement of {SHORT_SIDES_PX[0]} and {SHORT_SIDES_PX[1]} px",
}
LOWER_IS_BETTER = frozenset({"abs_rel", "rmse_m", "ordinal_error"})
"""Metrics that the table marks with an arrow."""
BASELINE = "lower is nearer"

Done = Sequence[tuple[DataSet, list[Result]]]


def score_table(estimator: Estimator, done: Done, clips: Sequence[Flicker]) -> Group:
    """Mean and median of each metric on each data set, next to the baseline's; below it the families and flicker."""
    table = Table(title=_title(estimator), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for heading in (f"{_name(estimator)}\nmean", "\nmedian", f"{BASELINE}\nmean", "\nmedian"):
        table.add_column(heading, justify="right")
    for data_set, results in done:
        table.add_section()
        table.add_row(Text(f"{data_set.name}, {_count(results, data_set)}", style="bold"))
        model, baseline = [result.model for result in results], [result.baseline for result in results]
        columns = (means(model), medians(model), means(baseline), medians(baseline))
        for metric in METRIC_NAMES:
            if all(math.isnan(column[metric]) for column in columns):
                continue  # images without ground truth have one metric only
            table.add_row(f"  {_label(metric)}", *(_cell(column[metric]) for column in columns))
    return Group(table, *(Text(line) for line in _lines(estimator, done, clips)))


def _label(metric: str) -> str:
    return LABELS[metric] + " ↓" * (metric in LOWER_IS_BETTER)


def _cell(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _title(estimator: Estimator) -> Text:
    title = Text(estimator.model.name, style="bold")
    if estimator.settings.weights == "random":
        title.append("  RANDOM WEIGHTS: these numbers mean nothing", style="bold red")
    return title


def _name(estimator: Estimator) -> str:
    return estimator.model.name + " (random)" * (estimator.settings.weights == "random")


def _count(results: list[Result], data_set: DataSet) -> str:
    total = len(data_set)
    if len(results) < total:
        return f"only {len(results)} of {total} images"
    return f"{total} image{'s' * (total != 1)}"


def _lines(estimator: Estimator, done: Done, clips: Sequence[Flicker]) -> Iterator[str]:
    for data_set, results in done:
        yield f" {data_set.about}"
        groups = by_group(results)
        if len(groups) > 1:
            mean_of = {name: means([result.model for result in members]) for name, members in groups.items()}
            spearman = (f"{name} {mean['spearman']:.2f}" for name, mean in mean_of.items())
            yield f" Spearman by family, mean: {', '.join(spearman)}"
    for clip in clips:
        yield f" flicker of static pixels, tour {clip.seed}, levels of 255 from frame to frame:"
        yield f"   {_change(clip.shown)} as shown, {_change(clip.steadied)} steadied, {_change(clip.fitted)} fitted"
    fit = "none, depth is metric" if estimator.model.kind == "metric" else "scale >= 0 and shift, to each ground truth"
    yield f" fit before AbsRel, RMSE, delta and edges: {fit}"


def _change(change: Change) -> str:
    return f"{change.mean:.2f} (worst frame {change.worst:.2f})" if math.isfinite(change.mean) else "-"
