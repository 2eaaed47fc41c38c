"""`depthstream run` and `depthstream demo`: a pipeline with a live status line, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipelines import demo, serve
from pipelines.cli.json_file import check_writable, console_beside, write_json
from pipelines.cli.page import shown_at, web_at
from pipelines.cli.table import stats_table
from pipelines.components.web import Web
from pipelines.components.window import Preview
from pipelines.process.reader_process import ReaderProcess
from pipelines.process.runner import Ending, run, without_images
from pipelines.registry import load
from stream.core.config_file import parse
from stream.core.view_controls import ViewControls
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import PipelineStats
from stream.runtime.stats_json import stats_json, terminals
from stream.settings import Settings
from stream.sinks.window.sink import WindowLoop

err = Console(stderr=True)

DEMO_S = 10.0


def run_config(
    config: Path, assignments: list[str], *, seconds: float | None, stats_every_s: float | None, json_file: Path | None
) -> int:
    """Run a config file's pipeline; the exit status."""
    settings, pipe = load(config, assignments)
    return run_loaded(settings, pipe, seconds=seconds, stats_every_s=stats_every_s, json_file=json_file)


def run_loaded(settings: Settings, pipe: Pipeline, **how: Any) -> int:
    """Run what ``load`` gave, with the web server where its recipe has one; ``how``: as for ``run_pipeline``."""
    if not isinstance(settings, serve.ServeSettings):
        return run_pipeline(pipe, **how)
    web = serve.web_for(settings)
    return run_pipeline(serve.build(settings, web), web=web, **how)


def run_demo(
    *,
    seconds: float | None,
    output: Path,
    model: str,
    seed: int,
    json_file: Path | None,
    window: bool,
    web_address: str | None = None,
) -> int:
    """Run the demonstration, and a second process that reads what it publishes; the exit status.

    ``seconds``: unset, as long as a demonstration is, or until Ctrl-C where there is a page to look at.
    """
    if seconds is None and web_address is None:
        seconds = DEMO_S
    with TemporaryDirectory(prefix="depthstream-") as folder:
        endpoint = f"ipc://{folder}/demo"
        changes = {
            "camera": {"source": "synthetic", "seed": seed},
            "model": {"name": model},
            "record": {"path": str(output)},
            "publish": {"endpoints": [endpoint]},
        }
        settings = parse(demo.DemoSettings, {"pipeline": "demo", **changes}, origin="depthstream demo")
        controls = ViewControls(settings.render.colormap)
        preview = Preview(controls) if window else None
        web = web_at(web_address, settings.model, [settings.camera.name], controls)
        loop = preview.window("depthstream demo", [settings.camera.name]) if preview else None
        pipe = demo.build(settings, preview, web)
        with ReaderProcess(endpoint, settings.camera.name, folder) as reader:
            pipe.add_statistics("a reader", reader.statistics)
            how: dict[str, Any] = {"stats_every_s": None, "json_file": json_file}
            status = run_pipeline(pipe, seconds=seconds, window=loop, web=web, **how)
    if output.exists() and not status:
        words = f"Wrote {output} (image, depth and true depth side by side)."
        console_beside(json_file).print(words, markup=False, soft_wrap=True)
    return status


def run_pipeline(
    pipe: Pipeline,
    *,
    seconds: float | None,
    stats_every_s: float | None,
    json_file: Path | None,
    window: WindowLoop | None = None,
    web: Web | None = None,
) -> int:
    """Run ``pipe`` with a status line and what is beside it, print its table, write its figures; the exit status."""
    if json_file is not None:
        check_writable(json_file)
    with window or nullcontext(), shown_at(web, pipe, err) as announce, _status_line() as show:
        watch, poll = _Watcher(show, stats_every_s, announce), window.poll if window else None
        ending = run(pipe, seconds=seconds, watch=watch, poll=poll)
    try:
        _tell(ending, json_file)
    finally:
        if ending.error is not None:
            raise ending.error  # whatever went wrong with telling comes second
    if ending.stats.unaccounted:
        err.print(f"depthstream: {ending.stats.unaccounted} frames are unaccounted for: please report this")
        return 1
    return ending.exit_status


def _tell(ending: Ending, json_file: Path | None) -> None:
    """The figures first: the file is there whatever becomes of the table."""
    if json_file is not None:
        write_json(json_file, _result(ending))
    why = without_images(ending.stats)
    if ending.error is None and why:  # interrupted: a table of zeros would hide it
        err.print(f"depthstream: {why}", markup=False, highlight=False, soft_wrap=True)
    elif ending.stats.accounts or ending.error is None:
        console_beside(json_file).print(stats_table(ending.stats))


class _Watcher:
    """Shows the status line at every tick, and the whole table every so often; ``announce`` may have news."""

    def __init__(
        self, show: Callable[[Text], None], table_every_s: float | None, announce: Callable[[PipelineStats], None]
    ) -> None:
        self._show, self._every_s, self._announce = show, table_every_s, announce
        self._next_table_s = monotonic() + (table_every_s or 0.0)

    def __call__(self, stats: PipelineStats) -> None:
        self._show(_status(stats))
        self._announce(stats)
        if self._every_s is not None and monotonic() >= self._next_table_s:
            self._next_table_s += self._every_s
            err.print(stats_table(stats))


def _status(stats: PipelineStats) -> Text:
    published = [
        f"{stage.name} {sum(stage.passed.values())} frames, {stage.fps:.1f} fps, age {1e3 * stage.age.p50_s:.0f} ms"
        for stage in terminals(stats)
    ]
    busy = [s.name for s in stats.stages if s.state.startswith("busy") and s.name != serve.IMAGES]
    opening = f"opening: {', '.join(busy)}" if busy else "ready"
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
