"""`depthstream bench --models`: the cost of each network on this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.benchmark.per_model import (
    BATCHES,
    CPU_GFLOP,
    IMAGE,
    Cost,
    gflop,
    measure_in_process,
    one_of_each,
    skipped,
)
from pipelines.benchmark.suite import machine_line
from pipelines.cli.json_file import check_writable, table_console, write_json
from stream.core.machine import probe
from stream.engines.select import usable_gpu
from stream.models.base import DepthModel
from stream.models.catalog import find
from stream.preprocess.geometry import network_size


def run_bench_models(only: Sequence[str] | None, *, seconds: float, json_file: Path | None) -> int:
    """Measure the networks and print the table; returns 0.

    Networks that are too slow for a CPU are not run there unless ``only`` names them; the table has their operations.
    """
    models = [find(name) for name in only] if only else one_of_each()
    if json_file is not None:
        check_writable(json_file)
    on_gpu, err = usable_gpu(probe()) is not None, Console(stderr=True)
    costs: list[Cost] = []
    with err.status("starting") as status:
        for model in models:
            status.update(f"{model.name}: {len(costs) + 1} of {len(models)}")
            costs.append(_cost(model, seconds, named=bool(only), on_gpu=on_gpu))
    table_console(json_file).print(costs_table(costs))
    if json_file is not None:
        models_json = [asdict(cost) for cost in costs]
        write_json(json_file, {"machine": machine_line(), "image": str(IMAGE), "models": models_json})
    return 0


def _cost(model: DepthModel, seconds: float, *, named: bool, on_gpu: bool) -> Cost:
    operations = gflop(model.name, network_size(IMAGE, model.spec))
    if not named and not on_gpu and operations > CPU_GFLOP:
        return skipped(model, "seconds an image on a CPU")
    return measure_in_process(model.name, seconds)


def costs_table(costs: Sequence[Cost]) -> Table:
    """The table with one row per network."""
    table = Table(title=machine_line(), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("network", no_wrap=True)
    for heading in ("input", "params", "GFLOP", "p50 ms", "MiB", f"of {BATCHES[-1]}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cost in costs:
        in_batches = _ms(cost.batches.get(BATCHES[-1], math.nan))
        size = f"{cost.size.width}x{cost.size.height}"
        cells = (_ms(cost.p50_ms), _rounded(cost.memory_mib))
        table.add_row(cost.name, size, f"{cost.parameters / 1e6:.1f} M", f"{cost.gflop:.1f}", *cells, in_batches)
    table.caption = "\n".join(_notes(costs))
    table.caption_justify = "left"
    return table


def _notes(costs: Sequence[Cost]) -> list[str]:
    scopes = dict.fromkeys(cost.scope for cost in costs if cost.runs)
    notes = [f"a {IMAGE} image: preprocess, network, resize back; {scope}" for scope in scopes]
    notes += [f"of {BATCHES[-1]}: ms an image in batches of {BATCHES[-1]}. RANDOM WEIGHTS: speed only"]
    not_run = [cost.name for cost in costs if cost.skipped]
    return notes + ([f"not run, seconds an image on a CPU; --only NAME does: {', '.join(not_run)}"] if not_run else [])


def _ms(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _rounded(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}"
