"""The page beside a command's pipeline: what `--web` asks for, and the address for the person at the terminal."""

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

PATIENCE_S = 3.0
"""What can fail at once (a port that is taken, a file) has failed by then; a network may take minutes to open."""


def web_at(address: str | None, model: ModelSettings, cameras: Sequence[str], controls: ViewControls) -> Web | None:
    """What ``--web`` asks for; None where it was not given."""
    if address is None:
        return None
    return Web(parse(WebSettings, {"address": address}, origin="--web"), model, cameras, controls)


@contextmanager
def shown_at(web: Web | None, pipe: Pipeline, console: Console) -> Iterator[Callable[[PipelineStats], None]]:
    """Serve the page, where there is one; gives what announces its address once, with the token if one is asked for.

    Give that every snapshot: it speaks when every stage has opened what it needs, or takes long to, and none has
    failed: nobody is to open the page of a run that is about to end. Raises SettingsError and SinkError as
    ``Web.serving``.
    """
    if web is None:
        yield lambda stats: None
        return
    with web.serving(pipe) as url:
        yield _Announcement(url, pipe, console)


class _Announcement:
    """Said once."""

    def __init__(self, url: str, pipe: Pipeline, console: Console) -> None:
        self._url, self._pipe, self._console = url, pipe, console
        self._was_said = False

    def __call__(self, stats: PipelineStats) -> None:
        is_open = self._pipe.ready.is_set() or stats.running_s > PATIENCE_S
        if self._was_said or not is_open or any(stage.state.startswith("failed") for stage in stats.stages):
            return
        self._was_said = True
        self._console.print(f"to look, open {self._url}", markup=False, highlight=False, soft_wrap=True)
