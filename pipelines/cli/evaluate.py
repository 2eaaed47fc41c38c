"""`depthstream eval`: measure the accuracy of a network; prints a table, writes JSON and a contact sheet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.cli.json_file import check_writable, table_console, write_json
from pipelines.cli.scores import score_table
from pipelines.evaluation.data_sets import open_data_set
from pipelines.evaluation.flicker import FRAMES, Flicker, flicker
from pipelines.evaluation.result import Result, score_sample
from pipelines.evaluation.sample import DataSet
from pipelines.evaluation.sheet import chosen_rows, sheet_row, write_sheet
from pipelines.evaluation.summary import about_model, flicker_json, summary_json
from stream.errors import UsageError
from stream.frames import Image
from stream.inference.estimator import Estimator
from stream.inference.open import estimator_for
from stream.settings import ModelSettings

err = Console(stderr=True)

Advance = Callable[[str], object]
"""Called after every image with the name of the step that is under way."""


@dataclass
class Results:
    """The results so far; filled step by step, because an interrupt may come at any moment."""

    by_data_set: dict[str, list[Result]] = field(default_factory=dict)
    """Results by the name of the data set."""
    flicker: list[Flicker] = field(default_factory=list)
    rows: list[Image] = field(default_factory=list)
    """Rows of the contact sheet, (h, W, 3) uint8 BGR."""
    engine: str = "not loaded"
    interrupted: bool = False


def run_eval(
    *,
    model: str,
    weights: Literal["trained", "random"],
    data: Sequence[str],
    views: int,
    json_file: Path | None,
    sheet: Path | None,
) -> int:
    """Score a network on each data set and report; returns the exit status, 130 when interrupted."""
    data_sets = _open(data, views)
    for path in (json_file, sheet):
        if path is not None:
            check_writable(path)
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UsageError(f"--sheet {sheet}: must end in .png")
    # waits: every image is scored with the same engine, also those of a new shape
    estimator = estimator_for(ModelSettings(name=model, weights=weights), waits=True)
    results = Results()
    try:
        with _progress(sum(map(len, data_sets)) + _clip_frames(data_sets)) as advance:
            evaluate(estimator, data_sets, results, advance, with_sheet=sheet is not None)
    finally:  # an image that cannot be read must not discard the results of the others
        _report(estimator, data_sets, results, json_file, sheet)
    return 130 if results.interrupted else 0


def evaluate(
    estimator: Estimator, data_sets: Sequence[DataSet], results: Results, advance: Advance, *, with_sheet: bool
) -> None:
    """Fill ``results``; Ctrl-C ends the evaluation early and sets ``results.interrupted``."""
    *starts, images = accumulate(map(len, data_sets), initial=0)
    on_sheet = chosen_rows(images) | set(starts)  # the first image of every data set is always on the sheet
    try:
        with estimator:
            results.engine = estimator.describe()
            for number, (data_set, result) in enumerate(_scored(estimator, data_sets)):
                results.by_data_set.setdefault(data_set.name, []).append(result)
                if with_sheet and number in on_sheet:
                    results.rows.append(sheet_row(result))
                advance(data_set.name)
            if _clip_frames(data_sets):
                results.flicker += flicker(estimator, lambda: advance("flicker"))
    except KeyboardInterrupt:
        results.interrupted = True


def _scored(estimator: Estimator, data_sets: Sequence[DataSet]) -> Iterator[tuple[DataSet, Result]]:
    for data_set in data_sets:
        for sample in data_set:
            yield data_set, score_sample(estimator, sample)


def _open(data: Sequence[str], views: int) -> list[DataSet]:
    data_sets = [open_data_set(name, views=views) for name in data]
    names = [data_set.name for data_set in data_sets]
    if len(set(names)) < len(names):
        raise UsageError(f"--data: two data sets have one name: {', '.join(names)}; give each once")
    return data_sets


def _clip_frames(data_sets: Sequence[DataSet]) -> int:
    """Frames of the flicker clips. Flicker is measured with rendered data only, where static pixels are known."""
    return FRAMES if any(data_set.name == "synthetic" for data_set in data_sets) else 0


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("loading", total=total)
        yield lambda step: bar.update(task, advance=1, description=step)


def _report(
    estimator: Estimator, data_sets: Sequence[DataSet], results: Results, json_file: Path | None, sheet: Path | None
) -> None:
    done = [(each, results.by_data_set[each.name]) for each in data_sets if each.name in results.by_data_set]
    out = table_console(json_file)
    if done:
        out.print(score_table(estimator, done, results.flicker))
    if json_file is not None and (done or results.interrupted):
        write_json(json_file, _as_json(estimator, done, results))
    if sheet is not None and results.rows:
        write_sheet(sheet, results.rows)
        out.print(f"Wrote {sheet}.", highlight=False, markup=False, soft_wrap=True)
    if results.interrupted:
        scored, total = sum(len(scores) for _, scores in done), sum(map(len, data_sets))
        err.print(f"depthstream: interrupted after {scored} of {total} images")
    if estimator.settings.weights == "random":
        err.print("depthstream: random weights: these numbers say nothing about a trained network")


def _as_json(estimator: Estimator, done: Sequence[tuple[DataSet, list[Result]]], results: Results) -> dict[str, Any]:
    return {
        **about_model(estimator, results.engine),
        "interrupted": results.interrupted,
        "data": [summary_json(each.name, each.about, scores, len(each)) for each, scores in done],
        "flicker": flicker_json(results.flicker),
    }
