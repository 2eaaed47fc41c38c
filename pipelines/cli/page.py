"""The web page of `--web`: open it next to a command's pipeline, and print its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from pipelines.components.web import Web
from stream.core.config_file import parse
from stream.core.view_controls import ViewControls
from stream.runtime.pipeline import Pipeline
from stream.runtime.stats import PipelineStats
from stream.settings import ModelSettings, WebSettings

ANNOUNCE_AFTER_S = 3.0
"""The address is printed after this time even if a stage is still opening. Quick failures (a port in use, a missing
file) have happened by then; a network may take minutes to open."""


def web_at(address: str | None, model: ModelSettings, cameras: Sequence[str], controls: ViewControls) -> Web | None:
    """The web server that ``--web`` requests, or None if the option was not given. Raises SettingsError."""
    if address is None:
        return None
    return Web(parse(WebSettings, {"address": address}, origin="--web"), model, cameras, controls)


@contextmanager
def serving_page(web: Web | None, pipe: Pipeline, console: Console) -> Iterator[Callable[[PipelineStats], None]]:
    """Serve the page, if there is one, and yield a function that prints its address (with the token, if required).

    Call the function with every snapshot. It prints once: when every stage is ready, or after ``ANNOUNCE_AFTER_S``, and
    only while no stage has failed, because the page of a run that is about to end is of no use. Raises SettingsError
    and SinkError as ``Web.serving`` does.
    """
    if web is None:
        yield lambda stats: None
        return
    with web.serving(pipe) as url:
        yield _Announcement(url, pipe, console)


class _Announcement:
    def __init__(self, url: str, pipe: Pipeline, console: Console) -> None:
        self._url, self._pipe, self._console = url, pipe, console
        self._is_done = False

    def __call__(self, stats: PipelineStats) -> None:
        is_open = self._pipe.ready.is_set() or stats.running_s > ANNOUNCE_AFTER_S
        if self._is_done or not is_open or any(stage.state.startswith("failed") for stage in stats.stages):
            return
        self._is_done = True
        self._console.print(f"to look, open {self._url}", markup=False, highlight=False, soft_wrap=True)
