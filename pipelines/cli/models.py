"""`depthstream models`: list the networks; download, verify and locate their weights."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, TypeAlias

from rich import box
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from stream.core.suggest import nearest
from stream.errors import UnknownModel, WeightsError
from stream.models.base import DepthModel, HasWeights, SegmenterModel
from stream.models.cache import weights_path
from stream.models.catalog import MODELS, SEGMENTERS
from stream.models.download.licences import accepted_at, allows_commercial_use, terms_of

Network: TypeAlias = DepthModel | SegmenterModel

ALL: tuple[Network, ...] = (*MODELS, *SEGMENTERS)
"""Every network, in the order of the list."""


def find(name: str) -> Network:
    """The network of that name. Raises UnknownModel, which suggests the most similar name."""
    known = {model.name: model for model in ALL}
    if name not in known:
        raise UnknownModel(f'no model "{name}"{nearest(name, known)}')
    return known[name]


OUTPUTS = {"metric": "metres", "relative_inverse": "relative"}
LEGEND = """\
relative: inverse depth of unknown scale and shift, larger is nearer
* not for commercial use, + other restrictions: both need --accept-licence; ~ four bytes a parameter
fetch: depthstream models pull NAME; addresses, hashes and paths: depthstream models list --json"""


def print_list(*, as_json: bool) -> None:
    """Print every network in a table, or as JSON with everything known about it."""
    if as_json:
        print(json.dumps([_model_json(model) for model in ALL], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("name", "gives", "params", "licence", "MB", "here"):
        table.add_column(heading, justify="right" if heading in ("params", "MB") else "left", no_wrap=True)
    for model in ALL:
        size = f"{model.parameters / 1e6:.1f} M"
        table.add_row(
            model.name,
            OUTPUTS.get(kind := _output_of(model), kind),
            size,
            _licence(model),
            _megabytes(model),
            _in_cache(model),
        )
    Console().print(table)
    print(LEGEND)


def pull_weights(name: str, *, accept_licence: bool) -> None:
    """Download the weights with a progress bar, after printing source and licence to standard error; print the path."""
    from stream.models.download.fetch import pull
    from stream.models.download.licences import check_accepted

    model, err = find(name), Console(stderr=True)
    if not weights_path(model).is_file():
        if not accept_licence:
            check_accepted(model)
        _announce(model)
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        path = pull(
            model,
            lambda done, total: progress.update(task, completed=done, total=total),
            accept_licence=accept_licence,
        )
    print(path)


def verify_weights(names: list[str]) -> int:
    """Check hash, checksums and a strict load of each network, or of all in the cache.

    Every one is checked and reported; returns 1 if any is bad.
    """
    chosen = [find(name) for name in names] or [model for model in ALL if weights_path(model).is_file()]
    are_good = [_verify(model) for model in chosen]  # a list: all() on a generator would stop at the first bad one
    return 0 if all(are_good) else 1


def print_path(name: str) -> None:
    """Print where the weights are, or where to put them by hand."""
    print(weights_path(find(name)))


def _verify(model: HasWeights) -> bool:
    from stream.models.checkpoint.verification import verify

    try:
        found = verify(model)
    except WeightsError as error:
        print(f"depthstream: {error}", file=sys.stderr)
        return False
    against = "as published" if found.hash_known else "no published hash to compare with"
    extra = f", {found.extra} more are not used" if found.extra else ""
    print(f"{found.path}: {found.size_bytes} bytes, {found.tensors} tensors fit {model.name}{extra}")
    print(f"sha256 {found.sha256} ({against})")
    return True


def _announce(model: Network) -> None:
    weights = model.weights
    terms = f", which forbids {terms_of(weights.licence).forbids}" if weights.requires_acceptance else ""
    size = "not known before" if weights.size_bytes is None else f"{weights.size_bytes / 1e6:.1f} MB"
    for label, text in (
        ("weights", f"{model.title}, from {weights.source}"),
        ("licence", f"{weights.licence}{terms}"),
        ("address", weights.url),
        ("size", size),
    ):
        print(f"{label + ':':9}{text}", file=sys.stderr)


def _output_of(model: Network) -> str:
    return model.kind if isinstance(model, DepthModel) else "masks"


def _licence(model: Network) -> str:
    if not allows_commercial_use(model):
        return f"{model.weights.licence} *"
    return f"{model.weights.licence} +" if model.weights.requires_acceptance else model.weights.licence


def _megabytes(model: Network) -> str:
    # if the size was not published, assume float32 weights: four bytes per parameter
    path, published = weights_path(model), model.weights.size_bytes
    size = path.stat().st_size if path.is_file() else published
    return f"~{4 * model.parameters / 1e6:.0f}" if size is None else f"{size / 1e6:.{1 if size < 1e8 else 0}f}"


def _in_cache(model: Network) -> str:
    return "yes" if weights_path(model).is_file() else "no"


def _model_json(model: Network) -> dict[str, Any]:
    path, licence = weights_path(model), model.weights.licence
    restricted = asdict(terms_of(licence)) if model.weights.requires_acceptance else None
    location = {"path": str(path), "cached": path.is_file(), "restrictions": restricted, "accepted": accepted_at(model)}
    return {
        "name": model.name,
        "title": model.title,
        "kind": _output_of(model),
        "parameters": model.parameters,
        "code_licence": model.licence,
        "weights": {**asdict(model.weights), **location},
    }
