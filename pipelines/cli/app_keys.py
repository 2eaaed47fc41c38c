"""The commands `depthstream keys ...`; each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

keys_app = typer.Typer(no_args_is_help=True, help="Who may read what is published: CURVE keys.")

KeysFolder = Annotated[
    Path | None, typer.Option("--dir", metavar="DIR", help="Folder of keys (~/.config/depthstream/keys).")
]


@keys_app.command("new")
def keys_new(
    name: Annotated[str, typer.Argument(help="Of the reader: laptop, robot-3.")], folder: KeysFolder = None
) -> None:
    """Make a key pair for a reader, and the publisher's own if it is missing."""
    from pipelines.cli.keys import new

    new(name, folder)


@keys_app.command("list")
def keys_list(
    folder: KeysFolder = None, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List who may read; no secrets."""
    from pipelines.cli.keys import list_keys

    list_keys(folder, as_json=json)
