"""The page beside a command's pipeline: what `--web` asks for, and the address for the person at the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from pipelines.web import Web
from stream.config_file import parse
from stream.pipeline import Pipeline
from stream.settings import ModelSettings, WebSettings
from stream.view_controls import ViewControls

err = Console(stderr=True)


def web_at(address: str | None, model: ModelSettings, cameras: Sequence[str], controls: ViewControls) -> Web | None:
    """What ``--web`` asks for; None where it was not given."""
    if address is None:
        return None
    return Web(parse(WebSettings, {"address": address}, origin="--web"), model, cameras, controls)


@contextmanager
def shown_at(web: Web | None, pipe: Pipeline) -> Iterator[None]:
    """Serve the page, where there is one, and print its address once, with the token if one is asked for.

    Raises SettingsError and SinkError as ``Web.serving``.
    """
    if web is None:
        yield
        return
    with web.serving(pipe) as url:
        err.print(f"to look, open {url}", markup=False, highlight=False, soft_wrap=True)
        yield
