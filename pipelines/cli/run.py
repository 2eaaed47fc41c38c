"""`depthstream run`, `serve` and `publish`: run the pipeline of a config file; and how every command runs a pipeline.

A live status line on standard error, the table at the end, the JSON file if there is to be one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipelines import serve
from pipelines.bundled import config_path
from pipelines.cli.json_file import check_writable, table_console, write_json
from pipelines.cli.page import serving_page
from pipelines.cli.table import stats_table
from pipelines.components.live_cameras import CameraPipeline
from pipelines.components.web import Web
from pipelines.objects import ObjectsSettings
from pipelines.process.config_watch import ConfigWatch
from pipelines.process.runner import RunResult, no_image_reason, run
from pipelines.process.signals import hang_ups_noted
from pipelines.registry import load
from pipelines.reload import CameraReloader
from pipelines.robot import RobotSettings
from stream.errors import SettingsError
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import PipelineStats
from stream.runtime.stats_json import stats_json, terminals
from stream.settings import Settings
from stream.sinks.window.sink import WindowLoop

err = Console(stderr=True)

Follow: TypeAlias = Callable[[Pipeline], Callable[[], None]]
"""Makes a pipeline that has not started follow its config file; returns what to call again and again meanwhile."""


def run_config(config: Path, assignments: list[str], *, watch_config: bool = False, **options: Any) -> int:
    """Run any pipeline; ``options`` are those of ``run_pipeline``. Returns the exit status."""
    with _loaded(config, assignments, watch_config) as (settings, pipe, follow):
        return _run_loaded(settings, pipe, follow, **options)


def run_serve(config: Path, assignments: list[str], *, watch_config: bool = False, **options: Any) -> int:
    """Run a pipeline that serves the page. Raises SettingsError for the config of another pipeline."""
    with _loaded(config, assignments, watch_config) as (settings, pipe, follow):
        _check_serves(config, settings, pipe)
        return _run_loaded(settings, pipe, follow, **options)


def run_publish(config: Path, assignments: list[str], *, watch_config: bool = False, **options: Any) -> int:
    """Run a pipeline that publishes. Raises SettingsError for the config of another pipeline."""
    with _loaded(config, assignments, watch_config) as (settings, pipe, follow):
        if not isinstance(settings, RobotSettings | ObjectsSettings):
            raise SettingsError(
                f'{config}: pipeline = "{pipe.name}" publishes nothing: "depthstream config robot" prints one that does'
            )
        err.print(announcement(settings), markup=False, highlight=False, soft_wrap=True)
        return _run_loaded(settings, pipe, follow, **options)


def _check_serves(config: Path, settings: Settings, pipe: Pipeline) -> None:
    if not isinstance(settings, serve.ServeSettings):
        raise SettingsError(
            f'{config}: pipeline = "{pipe.name}" serves no page: "depthstream config serve" prints one that does; '
            'or use "depthstream run"'
        )


def announcement(settings: RobotSettings | ObjectsSettings) -> str:
    """One line that names the streams, the endpoints, and the command that shows them."""
    families = ("depth", "objects") if isinstance(settings, ObjectsSettings) else ("depth",)
    names = [f"{family}/{camera.name}" for camera in settings.cameras for family in families] or ["no camera yet"]
    keys = " --keys DIR" if settings.publish.keys else ""
    endpoints = " and ".join(settings.publish.endpoints)
    local = settings.publish.endpoints[0].replace("//*:", "//127.0.0.1:")
    return f"publishing {', '.join(names)} on {endpoints}; to look: depthstream watch {local}{keys}"


@contextmanager
def _loaded(
    config: Path, assignments: list[str], watch_config: bool
) -> Iterator[tuple[Settings, Pipeline, Follow | None]]:
    """The settings, the pipeline, and with ``watch_config`` the function that makes a pipeline follow the file.

    Raises SettingsError for a file that cannot be followed.
    """
    if not watch_config:
        yield *load(config, assignments), None
        return
    path = config_path(config)
    if not path.is_file():
        raise SettingsError(f"{config}: --watch-config needs a file that can be read again, not a pipe or a device")
    with hang_ups_noted() as hang_ups:
        watch = ConfigWatch(path)  # before the file is loaded, so that no change is missed
        settings, pipe = load(config, assignments, cameras_may_come=True)

        def follow(pipe: Pipeline) -> Callable[[], None]:
            if not isinstance(pipe, CameraPipeline):
                raise SettingsError(
                    f'{config}: the input of pipeline = "{pipe.name}" cannot change: run it without --watch-config'
                )
            pipe.stay_open()
            return CameraReloader(config, assignments, settings, pipe, watch, hang_ups.take)

        yield settings, pipe, follow


def _run_loaded(settings: Settings, pipe: Pipeline, follow: Follow | None, **options: Any) -> int:
    """Run a loaded pipeline, rebuilt with a web server if its recipe has one."""
    web = serve.web_for(settings) if isinstance(settings, serve.ServeSettings) else None
    if isinstance(settings, serve.ServeSettings):
        pipe = serve.build(settings, web, cameras_may_come=follow is not None)
    return run_pipeline(pipe, tick=follow(pipe) if follow else None, web=web, **options)


def run_pipeline(
    pipe: Pipeline,
    *,
    seconds: float | None,
    stats_every_s: float | None,
    json_file: Path | None,
    window: WindowLoop | None = None,
    web: Web | None = None,
    tick: Callable[[], None] | None = None,
) -> int:
    """Run ``pipe`` until it ends, ``seconds`` have passed or Ctrl-C; returns the exit status.

    ``stats_every_s`` prints the table at that interval; ``json_file`` gets the final statistics. ``window`` is polled
    and ``web`` served meanwhile; ``tick`` is called several times a second. Raises the run's error after the statistics
    are written.
    """
    if json_file is not None:
        check_writable(json_file)
    with window or nullcontext(), serving_page(web, pipe, err) as announce, _status_line() as show:
        watch, poll = _Watcher(show, stats_every_s, announce), window.poll if window else None
        result = run(pipe, seconds=seconds, watch=watch, poll=poll, tick=tick)
    try:
        _report(result, json_file)
    finally:
        if result.error is not None:
            raise result.error  # takes precedence over an error of reporting
    if result.stats.unaccounted:
        err.print(f"depthstream: {result.stats.unaccounted} frames are unaccounted for: please report this")
        return 1
    return result.exit_status


def _report(result: RunResult, json_file: Path | None) -> None:
    """Write the JSON first, so that the file exists even if printing the table fails."""
    if json_file is not None:
        write_json(json_file, {**stats_json(result.stats), "error": str(result.error) if result.error else None})
    reason = no_image_reason(result.stats)
    if result.error is None and reason:  # interrupted: a table of zeros would hide the reason
        err.print(f"depthstream: {reason}", markup=False, highlight=False, soft_wrap=True)
    elif result.stats.accounts or result.error is None:
        table_console(json_file).print(stats_table(result.stats))


class _Watcher:
    """Updates the status line at every tick and prints the whole table at an interval; also calls ``announce``."""

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
    # the stage that stands in for missing cameras is always busy, which is no news
    busy = [s.name for s in stats.stages if s.state.startswith("busy") and s.name != serve.IMAGES]
    opening = f"opening: {', '.join(busy)}" if busy else "ready"
    absent = "".join(f"  {c.name}: {c.state}" for c in stats.cameras if c.state != "live")
    line = f"{stats.name} {stats.running_s:5.1f} s  {'  '.join(published) or opening}{absent}  (Ctrl-C ends)"
    return Text(line, style="dim")


@contextmanager
def _status_line() -> Iterator[Callable[[Text], None]]:
    """A line that is redrawn in place on a terminal; without a terminal nothing is shown."""
    if not err.is_terminal:
        yield lambda text: None
        return
    with Live(console=err, transient=True, refresh_per_second=8) as live:
        yield live.update
