"""`depthstream depth`: estimate the depth of images, folders and videos, one after the other.

An input that cannot be read does not stop the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines import conversion
from pipelines.cli.inputs import Input, plan, unused_files
from pipelines.cli.table import stats_table
from pipelines.process.runner import RunResult, run
from stream.core.log import redact
from stream.errors import DepthStreamError, ImageError, SinkError, SourceError, UsageError
from stream.frames import View
from stream.inference.estimator import Estimator
from stream.inference.open import estimator_for
from stream.runtime.stats import PipelineStats
from stream.settings import IntrinsicsSettings, ModelSettings, RecordSettings, RenderSettings
from stream.sinks.base import Sink
from stream.sinks.depth_files import SUFFIXES, DepthFiles, Format
from stream.sinks.video_file import Recorder

out, err = Console(), Console(stderr=True)

FormatOption = Literal["png16", "npy", "color", "all"]


def run_depth(
    paths: list[Path],
    output: Path,
    *,
    model: str,
    form: FormatOption,
    colormap: Literal["inferno", "turbo", "magma", "viridis", "gray"],
    weights: Literal["trained", "random"],
    fov_deg: float | None = None,
) -> int:
    """Convert every input and return the exit status of the first failure.

    ``fov_deg``: horizontal field of view of the camera that took all the inputs. Raises UsageError and SinkError.
    """
    inputs = plan(paths, output, [suffix for each in _formats(form) for suffix in SUFFIXES[each]])
    _make_folder(output)
    for path in paths:
        if line := unused_files(path):
            _print(line)
    # one image per core finishes a third more images than all cores on one (docs/why/decisions/0004)
    settings = ModelSettings(name=model, weights=weights, layout="throughput")
    with estimator_for(settings, waits=True) as estimator:  # waits: all depth comes from the same engine
        if fov_deg is not None and estimator.model.kind != "metric":
            _print(f"--fov changes nothing: {model} is not metric (depthstream models list: which networks are)")
        optics = IntrinsicsSettings(fov_deg=fov_deg) if fov_deg is not None else None
        return _convert_all(inputs, estimator, RenderSettings(colormap=colormap), optics, form, output)


def _convert_all(
    inputs: list[Input],
    estimator: Estimator,
    render: RenderSettings,
    optics: IntrinsicsSettings | None,
    form: FormatOption,
    output: Path,
) -> int:
    status, frames, start = 0, 0, monotonic()
    for number, each in enumerate(inputs, 1):
        existed = each.folder.exists()
        pipe = conversion.build(each.source, estimator, render, *_sinks(each, form, estimator), optics=optics)
        with ExitStack() as stack:
            watch = _progress(stack, each)
            result = run(pipe, watch=watch)
        frames += _written(result.stats)
        status = status or result.exit_status
        if result.exit_status and not existed:
            with suppress(OSError):
                each.folder.rmdir()  # succeeds only if nothing was written into it
        untried = 0 if _may_continue(result) else len(inputs) - number
        if result.error is not None:
            _report(result.error, untried)
        if not _may_continue(result):
            if result.error is None:  # interrupted: show the statistics up to here
                out.print(stats_table(result.stats))
            break
    if status and not frames:
        return status
    seconds = monotonic() - start
    rate = f" in {seconds:.1f} s ({frames / seconds:.1f} a second)" if frames else ""
    done = f"{frames} depth map{'s' * (frames != 1)} by {estimator.model.name} in {output}{rate}"
    out.print(done, highlight=False, markup=False, soft_wrap=True)
    return status


def _may_continue(result: RunResult) -> bool:
    """True after a bad input, which the others do not share; a full disk or missing weights would fail them all."""
    return result.exit_status == 0 or isinstance(result.error, SourceError | ImageError)


def _sinks(each: Input, form: FormatOption, estimator: Estimator) -> list[Sink[View]]:
    formats = _formats(form)
    sinks: list[Sink[View]] = []
    if each.video is not None and "color" in formats:
        formats.discard("color")
        metadata = {"comment": f"depth by {estimator.model.name} ({estimator.settings.weights} weights)"}
        sinks.append(Recorder(RecordSettings(path=str(each.video)), metadata=metadata))
    if formats:
        sinks.append(DepthFiles(each.folder, frozenset(formats), name=each.name, source=each.origin))
    return sinks


def _formats(form: FormatOption) -> set[Format]:
    return {"png16", "npy", "color"} if form == "all" else {form}


def _progress(stack: ExitStack, each: Input) -> Callable[[PipelineStats], None]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.1f} fps"),
        TimeRemainingColumn(),
    )
    bar = stack.enter_context(Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()))
    task = bar.add_task(each.path.name, total=None, fps=0.0)

    def watch(stats: PipelineStats) -> None:
        bar.update(task, completed=_written(stats), total=each.expected, fps=stats.stages[-1].fps)

    return watch


def _written(stats: PipelineStats) -> int:
    return sum(account.published for account in stats.accounts)


def _report(error: DepthStreamError, untried: int) -> None:
    rest = f"; {untried} further input{'s were' if untried > 1 else ' was'} not tried" if untried else ""
    _print(f"{error}{rest}")


def _print(line: str) -> None:
    print(f"depthstream: {redact(line)}", file=sys.stderr)


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{output}: is a file; give a folder for the results") from error
    except OSError as error:
        raise SinkError(f"{output}: the folder cannot be made: {error.strerror}; give another with -o") from error
