"""`depthstream models`: which networks there are, and their weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from urllib.parse import urlsplit

from rich import box
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from stream.models.base import DepthModel
from stream.models.cache import weights_path
from stream.models.catalog import MODELS, find


def print_list(*, as_json: bool) -> None:
    """Every network as a table, or as JSON with all that is known of it."""
    if as_json:
        print(json.dumps([_facts(model) for model in MODELS], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "parameters", "depth", "licence", "weights from", "here"):
        table.add_column(heading)
    for model in MODELS:
        here = "yes" if weights_path(model).is_file() else "no"
        size, kind = f"{model.parameters / 1e6:.1f} M", model.kind.replace("_", " ")
        table.add_row(model.name, size, kind, model.weights.licence, _origin(model), here)
    table.caption = "fetch: depthstream models pull NAME    addresses, hashes and paths: --json"
    table.caption_justify = "left"
    Console().print(table)


def pull_weights(name: str) -> None:
    """Fetch, with a progress bar; says where the file is in the end."""
    from stream.models.download import pull

    model, err = find(name), Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        path = pull(model, lambda done, total: progress.update(task, completed=done, total=total))
    print(path)


def verify_weights(name: str) -> None:
    """Hash and strict load; one line that says what was checked against what."""
    from stream.models.weights import verify

    found = verify(find(name))
    against = "as published" if found.hash_known else "no published hash to compare with"
    print(f"{found.path}: {found.size_bytes} bytes, {found.tensors} tensors fit {name}")
    print(f"sha256 {found.sha256} ({against})")


def print_path(name: str) -> None:
    """Where the weights are, or where they belong when put there by hand."""
    print(weights_path(find(name)))


def _origin(model: DepthModel) -> str:
    return "the package" if model.weights.url is None else urlsplit(model.weights.url).netloc


def _facts(model: DepthModel) -> dict[str, object]:
    path = weights_path(model)
    return {
        "name": model.name,
        "title": model.title,
        "kind": model.kind,
        "parameters": model.parameters,
        "code_licence": model.licence,
        "weights": {**asdict(model.weights), "path": str(path), "here": path.is_file()},
    }
