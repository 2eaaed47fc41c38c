"""`depthstream run` and `depthstream demo`: a pipeline with a live status line, and the table at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipelines import demo
from pipelines.cli.table import stats_json, stats_table, terminals
from pipelines.preview import Preview
from pipelines.reader_process import ReaderProcess
from pipelines.recipes import load
from pipelines.runner import Ending, run
from stream.config_file import parse
from stream.errors import SinkError
from stream.pipeline import Pipeline
from stream.sinks.window import WindowLoop
from stream.sinks.window_keys import ViewControls
from stream.stats import PipelineStats

out, err = Console(), Console(stderr=True)


def run_config(
    config: Path, assignments: list[str], *, seconds: float | None, stats_every_s: float | None, json_file: Path | None
) -> int:
    """Run a config file's pipeline; the exit status."""
    _, pipe = load(config, assignments)
    return run_pipeline(pipe, seconds=seconds, stats_every_s=stats_every_s, json_file=json_file)


def run_demo(*, seconds: float, output: Path, model: str, seed: int, json_file: Path | None, window: bool) -> int:
    """Run the demonstration, and a second process that reads what it publishes; the exit status."""
    with TemporaryDirectory(prefix="depthstream-") as folder:
        endpoint = f"ipc://{folder}/demo"
        changes = {
            "camera": {"source": "synthetic", "seed": seed},
            "model": {"name": model},
            "record": {"path": str(output)},
            "publish": {"endpoints": [endpoint]},
        }
        settings = parse(demo.DemoSettings, {"pipeline": "demo", **changes}, origin="depthstream demo")
        preview = Preview(ViewControls(settings.render.colormap)) if window else None
        loop = preview.window("depthstream demo", [settings.camera.name]) if preview else None
        pipe = demo.build(settings, preview)
        with ReaderProcess(endpoint, settings.camera.name) as reader:
            pipe.add_figures("a reader", reader.figures)
            status = run_pipeline(pipe, seconds=seconds, stats_every_s=None, json_file=json_file, window=loop)
    if output.exists() and not status:
        out.print(f"Wrote {output} (picture, depth and true depth side by side).", markup=False, soft_wrap=True)
    return status


def run_pipeline(
    pipe: Pipeline,
    *,
    seconds: float | None,
    stats_every_s: float | None,
    json_file: Path | None,
    window: WindowLoop | None = None,
) -> int:
    """Run ``pipe`` with a status line, print its table, write its figures; the exit status."""
    if json_file is not None:
        check_writable(json_file)
    with window or nullcontext(), _status_line() as show:
        ending = run(pipe, seconds=seconds, watch=_Watcher(show, stats_every_s), poll=window.poll if window else None)
    if ending.stats.accounts or ending.error is None:
        out.print(stats_table(ending.stats))
    if json_file is not None:
        write_json(json_file, _result(ending))
    if ending.error is not None:
        raise ending.error
    if ending.stats.unaccounted:
        err.print(f"depthstream: {ending.stats.unaccounted} frames are unaccounted for: please report this")
        return 1
    return ending.exit_status


class _Watcher:
    """Shows the status line at every tick, and the whole table every so often."""

    def __init__(self, show: Callable[[Text], None], table_every_s: float | None) -> None:
        self._show, self._every_s = show, table_every_s
        self._next_table_s = monotonic() + (table_every_s or 0.0)

    def __call__(self, stats: PipelineStats) -> None:
        self._show(_status(stats))
        if self._every_s is not None and monotonic() >= self._next_table_s:
            self._next_table_s += self._every_s
            err.print(stats_table(stats))


def _status(stats: PipelineStats) -> Text:
    published = [
        f"{stage.name} {sum(stage.passed.values())} frames, {stage.fps:.1f} fps, age {1e3 * stage.age.p50_s:.0f} ms"
        for stage in terminals(stats)
    ]
    opening = "opening: " + ", ".join(s.name for s in stats.stages if s.state.startswith("busy"))
    absent = "".join(f"  {c.name}: {c.state}" for c in stats.cameras if c.state != "live")
    line = f"{stats.name} {stats.running_s:5.1f} s  {'  '.join(published) or opening}{absent}  (Ctrl-C ends)"
    return Text(line, style="dim")


def _status_line() -> AbstractContextManager[Callable[[Text], None]]:
    if not err.is_terminal:
        return nullcontext(lambda text: None)
    live = Live(console=err, transient=True, refresh_per_second=8)

    class Shown(AbstractContextManager[Callable[[Text], None]]):
        def __enter__(self) -> Callable[[Text], None]:
            live.start()
            return live.update

        def __exit__(self, *exc_info: object) -> None:
            live.stop()

    return Shown()


def _result(ending: Ending) -> dict[str, Any]:
    return {**stats_json(ending.stats), "error": str(ending.error) if ending.error else None}


def check_writable(path: Path) -> None:
    """Raise SinkError before anything has started when ``path`` could not be written at the end."""
    folder = path.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SinkError(f"{path}: cannot be written: the folder {folder} does not exist or is read-only")


def write_json(path: Path, data: Any) -> None:
    """Write JSON in one piece: the file is whole or it is not there. Raises SinkError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from error
