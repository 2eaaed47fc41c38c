"""The table that `depthstream eval` prints."""

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
from pipelines.evaluation.summary import FIGURES, by_group, means, medians
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
DOWN = frozenset({"abs_rel", "rmse_m", "ordinal_error"})
"""The lower the better: marked by an arrow."""
PRIOR = "lower is nearer"

Done = Sequence[tuple[DataSet, list[Result]]]


def score_table(estimator: Estimator, done: Done, clips: Sequence[Flicker]) -> Group:
    """Mean and median of each data set, beside those of the guess; then the families, and flicker."""
    table = Table(title=_title(estimator), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for heading in (f"{_name(estimator)}\nmean", "\nmedian", f"{PRIOR}\nmean", "\nmedian"):
        table.add_column(heading, justify="right")
    for data_set, judgements in done:
        table.add_section()
        table.add_row(Text(f"{data_set.name}, {_count(judgements, data_set)}", style="bold"))
        model, prior = [j.model for j in judgements], [j.prior for j in judgements]
        columns = (means(model), medians(model), means(prior), medians(prior))
        for figure in FIGURES:
            if all(math.isnan(column[figure]) for column in columns):
                continue  # images without truth have but one figure
            table.add_row(f"  {_label(figure)}", *(_cell(column[figure]) for column in columns))
    return Group(table, *(Text(line) for line in _lines(estimator, done, clips)))


def _label(figure: str) -> str:
    return LABELS[figure] + " ↓" * (figure in DOWN)


def _cell(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _title(estimator: Estimator) -> Text:
    title = Text(estimator.model.name, style="bold")
    if estimator.settings.weights == "random":
        title.append("  RANDOM WEIGHTS: these figures mean nothing", style="bold red")
    return title


def _name(estimator: Estimator) -> str:
    return estimator.model.name + " (random)" * (estimator.settings.weights == "random")


def _count(judgements: list[Result], data_set: DataSet) -> str:
    wanted = len(data_set)
    if len(judgements) < wanted:
        return f"only {len(judgements)} of {wanted} images"
    return f"{wanted} image{'s' * (wanted != 1)}"


def _lines(estimator: Estimator, done: Done, clips: Sequence[Flicker]) -> Iterator[str]:
    for data_set, judgements in done:
        yield f" {data_set.about}"
        groups = by_group(judgements)
        if len(groups) > 1:
            spearman = (f"{name} {means([j.model for j in each])['spearman']:.2f}" for name, each in groups.items())
            yield f" Spearman by family, mean: {', '.join(spearman)}"
    for clip in clips:
        yield f" flicker of what stands still, tour {clip.seed}, levels of 255 from frame to frame:"
        yield f"   {_change(clip.shown)} as shown, {_change(clip.steadied)} steadied, {_change(clip.fitted)} fitted"
    fit = "none, depth is metric" if estimator.model.kind == "metric" else "scale >= 0 and shift, to each truth"
    yield f" fit before AbsRel, RMSE, delta and edges: {fit}"


def _change(change: Change) -> str:
    return f"{change.mean:.2f} (worst frame {change.worst:.2f})" if math.isfinite(change.mean) else "-"
