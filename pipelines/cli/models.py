"""`depthstream models`: which networks there are, and their weights."""

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
from stream.models.base import DepthModel, SegmenterModel, Trained
from stream.models.cache import weights_path
from stream.models.catalog import MODELS, SEGMENTERS
from stream.models.download.licences import accepted_at, for_commerce, terms_of

Network: TypeAlias = DepthModel | SegmenterModel

ALL: tuple[Network, ...] = (*MODELS, *SEGMENTERS)
"""In the order in which they are listed."""


def find(name: str) -> Network:
    """The network of that name. Raises UnknownModel naming the one that looks most like it."""
    known = {model.name: model for model in ALL}
    if name not in known:
        raise UnknownModel(f'no model "{name}"{nearest(name, known)}')
    return known[name]


WORDS = {"metric": "metres", "relative_inverse": "relative"}
LEGEND = """\
relative: inverse depth of unknown scale and shift, larger is nearer
* not for commercial use, + other restrictions: both need --accept-licence; ~ four bytes a parameter
fetch: depthstream models pull NAME; addresses, hashes and paths: depthstream models list --json"""


def print_list(*, as_json: bool) -> None:
    """Every network as a table, or as JSON with all that is known of it."""
    if as_json:
        print(json.dumps([_facts(model) for model in ALL], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("name", "gives", "params", "licence", "MB", "here"):
        table.add_column(heading, justify="right" if heading in ("params", "MB") else "left", no_wrap=True)
    for model in ALL:
        size = f"{model.parameters / 1e6:.1f} M"
        table.add_row(
            model.name, WORDS.get(kind := _gives(model), kind), size, _licence(model), _megabytes(model), _here(model)
        )
    Console().print(table)
    print(LEGEND)


def pull_weights(name: str, *, accept_licence: bool) -> None:
    """Fetch, with a progress bar; what is fetched and under which licence on standard error, then where the file is."""
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
    """Hash, check sums and strict load of each, or of all that are here; 1 if any is bad, and all are told anyway."""
    chosen = [find(name) for name in names] or [model for model in ALL if weights_path(model).is_file()]
    found_good = [_verified(model) for model in chosen]
    return 0 if all(found_good) else 1


def print_path(name: str) -> None:
    """Where the weights are, or where they belong when put there by hand."""
    print(weights_path(find(name)))


def _verified(model: Trained) -> bool:
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
    terms = f", which forbids {terms_of(weights.licence).forbids}" if weights.must_accept else ""
    size = "not known before" if weights.size_bytes is None else f"{weights.size_bytes / 1e6:.1f} MB"
    for what, text in (
        ("weights", f"{model.title}, from {weights.source}"),
        ("licence", f"{weights.licence}{terms}"),
        ("address", weights.url),
        ("size", size),
    ):
        print(f"{what + ':':9}{text}", file=sys.stderr)


def _gives(model: Network) -> str:
    return model.kind if isinstance(model, DepthModel) else "masks"


def _licence(model: Network) -> str:
    if not for_commerce(model):
        return f"{model.weights.licence} *"
    return f"{model.weights.licence} +" if model.weights.must_accept else model.weights.licence


def _megabytes(model: Network) -> str:
    path, published = weights_path(model), model.weights.size_bytes
    size = path.stat().st_size if path.is_file() else published
    return f"~{4 * model.parameters / 1e6:.0f}" if size is None else f"{size / 1e6:.{1 if size < 1e8 else 0}f}"


def _here(model: Network) -> str:
    return "yes" if weights_path(model).is_file() else "no"


def _facts(model: Network) -> dict[str, Any]:
    path, licence = weights_path(model), model.weights.licence
    restricted = asdict(terms_of(licence)) if model.weights.must_accept else None
    place = {"path": str(path), "here": path.is_file(), "restrictions": restricted, "accepted": accepted_at(model)}
    return {
        "name": model.name,
        "title": model.title,
        "kind": _gives(model),
        "parameters": model.parameters,
        "code_licence": model.licence,
        "weights": {**asdict(model.weights), **place},
    }
