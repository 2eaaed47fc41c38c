"""The commands `depthstream models ...`; each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

models_app = typer.Typer(no_args_is_help=True, help="List, fetch and check the networks.")

Weights = Annotated[
    Literal["trained", "random"], typer.Option(help="random: for speed tests only; marks every output.")
]


@models_app.command("list")
def models_list(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """All networks: size, licence, what their numbers mean, and whether the weights are here."""
    from pipelines.cli.models import print_list

    print_list(as_json=json)


@models_app.command("pull")
def models_pull(
    name: str,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Of weights that may not be used for everything; is remembered.")
    ] = False,
) -> None:
    """Fetch a network's weights into the cache (resumes a download that broke off)."""
    from pipelines.cli.models import pull_weights

    pull_weights(name, accept_licence=accept_licence)


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="All that are here, if none.")] = None,
) -> None:
    """Check networks' weights: hash where known, check sums, and that every tensor fits."""
    from pipelines.cli.models import verify_weights

    raise typer.Exit(verify_weights(names or []))


@models_app.command("path")
def models_path(name: str) -> None:
    """Print where a network's weights are, or belong."""
    from pipelines.cli.models import print_path

    print_path(name)


@models_app.command("build")
def models_build(
    name: str,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the network's input: width x height.")],
    engine: Annotated[Literal["tensorrt"], typer.Option()] = "tensorrt",
    batch: Annotated[int, typer.Option(min=1, max=64, help="The most images at once.")] = 1,
    precision: Annotated[Literal["fp32", "fp16", "mixed"], typer.Option()] = "fp16",
    weights: Weights = "trained",
    float32: Annotated[list[str] | None, typer.Option(metavar="PART", help="mixed: a submodule left in fp32.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Also if there is one already.")] = False,
) -> None:
    """Build an engine of a network for one input size and keep it in the cache (see docs/gpu.md)."""
    from pipelines.cli.build import build_engine

    how: dict[str, Any] = {"weights": weights, "float32_parts": float32 or [], "rebuild": rebuild}
    raise typer.Exit(build_engine(name, engine=engine, size=size, batch=batch, precision=precision, **how))
