"""The command groups `depthstream models ...` and `depthstream keys ...`; light like ``app``, which includes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

models_app = typer.Typer(no_args_is_help=True, help="List, fetch and check the networks.")
keys_app = typer.Typer(no_args_is_help=True, help="Manage the CURVE keys that readers of a publisher need.")

Weights = Annotated[
    Literal["trained", "random"], typer.Option(help="random: for speed tests only; every output is marked.")
]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a network (see: depthstream models list).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
KeysFolder = Annotated[
    Path | None, typer.Option("--dir", metavar="DIR", help="Folder of the keys (~/.config/depthstream/keys).")
]


@models_app.command("list")
def models_list(json: AsJson = False) -> None:
    """List the networks: what they output, size, licence, and whether the weights are in the cache."""
    from pipelines.cli.models import print_list

    print_list(as_json=json)


@models_app.command("pull")
def models_pull(
    name: ModelName,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept a licence that restricts the use; this is remembered.")
    ] = False,
) -> None:
    """Download a network's weights into the cache; resumes an interrupted download."""
    from pipelines.cli.models import pull_weights

    pull_weights(name, accept_licence=accept_licence)


@models_app.command("verify")
def models_verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Networks; without any, all in the cache.")
    ] = None,
) -> None:
    """Check the weights of networks: published hash, checksums, and that every tensor fits."""
    from pipelines.cli.models import verify_weights

    raise typer.Exit(verify_weights(names or []))


@models_app.command("path")
def models_path(name: ModelName) -> None:
    """Print the path of a network's weights, whether they are there or not."""
    from pipelines.cli.models import print_path

    print_path(name)


@models_app.command("build")
def models_build(
    name: ModelName,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the network's input: width x height.")],
    engine: Annotated[Literal["tensorrt"], typer.Option(help="Kind of engine.")] = "tensorrt",
    batch: Annotated[int, typer.Option(min=1, max=64, help="Largest number of images at once.")] = 1,
    precision: Annotated[
        Literal["fp32", "fp16", "mixed"], typer.Option(help="Number format; mixed: fp16, but see --float32.")
    ] = "fp16",
    weights: Weights = "trained",
    float32: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="With mixed: a submodule to keep in fp32.")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build even if the cache has this engine.")] = False,
) -> None:
    """Build an engine of a network for one input size and keep it in the cache (see docs/how-to/gpu.md)."""
    from pipelines.cli.build import build_engine

    rest: dict[str, Any] = {"weights": weights, "float32_parts": float32 or [], "rebuild": rebuild}
    raise typer.Exit(build_engine(name, engine=engine, size=size, batch=batch, precision=precision, **rest))


@keys_app.command("new")
def keys_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the reader, such as laptop or robot-3.")],
    folder: KeysFolder = None,
) -> None:
    """Create a key pair for a reader, and the publisher's own pair if it is missing."""
    from pipelines.cli.keys import new

    new(name, folder)


@keys_app.command("list")
def keys_list(folder: KeysFolder = None, json: AsJson = False) -> None:
    """List the readers that have a key; prints no secrets."""
    from pipelines.cli.keys import list_keys

    list_keys(folder, as_json=json)
