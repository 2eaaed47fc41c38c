"""`depthstream keys`: create and list the keys of readers. Secrets stay in files and are never printed."""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.publisher.curve_keys import SECRET, Client, check_permissions, create, keys_folder, load_clients

NO_CLIENTS = "no client may read yet: depthstream keys new NAME"


def new(name: str, folder: Path | None) -> None:
    """Create a key pair for a reader, and the publisher's own if it is missing; print where each file belongs.

    Raises UsageError for a name that is taken or invalid, SinkError for a folder that cannot be used.
    """
    folder = _folder(folder)
    client = create(folder, name)
    secret = client.file.with_suffix(SECRET)
    print(f'key "{name}" made; its public key is {client.public.decode()}')
    print("\nCopy to the reader's machine, into a folder of its own that only its owner may enter (chmod 700):")
    print(f"  {folder / 'server.key'}    (no secret)")
    print(f"  {secret}    (secret: use scp or a stick; afterwards delete it here)")
    print("\nKeep on this machine:")
    print(f"  {folder / 'server.key_secret'}    (secret)")
    print(f"  {client.file}    (no secret; to shut the reader out, delete it and restart the publisher)")
    print(f'\nThe publisher: [publish] keys = "{folder}"')
    print("A running publisher accepts the new key at once; a reader that it refused before reconnects by itself.")


def list_keys(folder: Path | None, *, as_json: bool = False) -> None:
    """Print every client that may read, as a table or as JSON.

    Raises SinkError for a folder that is missing or open to other users.
    """
    folder = _folder(folder)
    check_permissions(folder)
    clients = load_clients(folder)
    if as_json:
        print(json.dumps([_client_json(client) for client in clients], indent=2))
    elif clients:
        console = Console()
        console.print(_table(clients))
        # outside the table, whose width would cut the path in two
        note = f"  in {clients[0].file.parent}: copy a secret here to its reader, then delete it"
        console.print(Text(note, style="italic"), soft_wrap=True)
    else:
        print(NO_CLIENTS)


def _folder(given: Path | None) -> Path:
    return (given or keys_folder()).expanduser().absolute()


def _table(clients: tuple[Client, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("client", "public key", "secret here", "file"):
        table.add_column(heading, no_wrap=heading == "public key", overflow="fold")
    for client in clients:
        row = _client_json(client)
        cells = (client.name, row["public_key"], "yes" if row["secret_here"] else "no", client.file.name)
        table.add_row(*(Text(str(cell)) for cell in cells))  # Text: "[" in a key is no markup
    return table


def _client_json(client: Client) -> dict[str, object]:
    return {
        "client": client.name,
        "public_key": client.public.decode(),
        "file": str(client.file),
        "secret_here": client.file.with_suffix(SECRET).exists(),
    }
