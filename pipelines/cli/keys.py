"""`depthstream keys`: who may read what a publisher sends. Secrets are in files only, never printed."""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.publisher.curve_keys import SECRET, Client, check_permissions, create, keys_folder, load_clients

NONE = "no client may read yet: depthstream keys new NAME"


def new(name: str, folder: Path | None) -> None:
    """Make a key pair for a reader, and the publisher's own if it is missing; say what to do with which file.

    Raises UsageError for a name that is taken or cannot be one, SinkError for a folder that cannot be used.
    """
    folder = _folder(folder)
    client = create(folder, name)
    secret = client.file.with_suffix(SECRET)
    print(f'key "{name}" made; its public key is {client.public.decode()}')
    print("\nCarry to the reader's machine, into a folder of its own that nobody else may enter (chmod 700):")
    print(f"  {folder / 'server.key'}    (no secret)")
    print(f"  {secret}    (secret: use scp or a stick; afterwards delete it here)")
    print("\nStays on this machine:")
    print(f"  {folder / 'server.key_secret'}    (secret)")
    print(f"  {client.file}    (no secret; to shut the reader out, delete it and restart the publisher)")
    print(f'\nThe publisher: [publish] keys = "{folder}"')
    print("A publisher that runs already knows the new key; a reader that it refused comes in by itself.")


def list_keys(folder: Path | None, *, as_json: bool = False) -> None:
    """Every client that may read, as a table or as JSON. Raises SinkError for a folder missing or open to others."""
    folder = _folder(folder)
    check_permissions(folder)
    clients = load_clients(folder)
    if as_json:
        print(json.dumps([_facts(client) for client in clients], indent=2))
    elif clients:
        Console().print(_table(clients))
    else:
        print(NONE)


def _folder(given: Path | None) -> Path:
    return (given or keys_folder()).expanduser().absolute()


def _table(clients: tuple[Client, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("client", "public key", "secret here", "file"):
        table.add_column(heading, no_wrap=heading == "public key", overflow="fold")
    for client in clients:
        facts = _facts(client)
        cells = (client.name, facts["public_key"], "yes" if facts["secret_here"] else "no", client.file.name)
        table.add_row(*(Text(str(cell)) for cell in cells))  # Text: a "[" in a key is no markup
    table.caption = f"in {clients[0].file.parent}    a secret here: carry it to its reader, then delete it"
    table.caption_justify = "left"
    return table


def _facts(client: Client) -> dict[str, object]:
    return {
        "client": client.name,
        "public_key": client.public.decode(),
        "file": str(client.file),
        "secret_here": client.file.with_suffix(SECRET).exists(),
    }
