"""`depthstream bench`: check that the options fit together, then start the benchmark that they select."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, Literal, TypeAlias

from stream.errors import UsageError

EngineOption: TypeAlias = Literal["auto", "torchscript", "cuda", "cuda_graph", "tensorrt"]

ENGINE_OPTIONS = ("model", "size", "batch", "precision", "weights")
"""Options that only ``--engine`` uses."""
LIVE_S, NETWORK_S, BATCH_S = 60.0, 5.0, 2.0
"""Default durations: of the live benchmark, of each network with --models, of each batch size with --engine."""


def run_bench(
    given: Set[str],
    *,
    only: Sequence[str] | None,
    models: bool,
    engine: EngineOption | None,
    model: str,
    seconds: float | None,
    json_file: Path | None,
    **engine_options: Any,
) -> int:
    """Run one of the three benchmarks and return its exit status; ``given`` names the options on the command line."""
    check_bench_options(given)
    if engine is not None:
        from pipelines.cli.bench.engine import bench_engine

        return bench_engine(model, engine=engine, seconds=seconds or BATCH_S, json_file=json_file, **engine_options)
    if models:
        from pipelines.cli.bench.models import run_bench_models

        return run_bench_models(only, seconds=seconds or NETWORK_S, json_file=json_file)
    from pipelines.cli.bench.suite import run_bench_suite

    return run_bench_suite(only, seconds=seconds or LIVE_S, json_file=json_file)


def check_bench_options(given: Set[str]) -> None:
    """Raise UsageError for options that contradict each other or would change nothing; names are without dashes."""
    if "engine" in given:
        for name in ("models", "only"):
            if name in given:
                raise UsageError(f"--engine and --{name} ask for different things: give one of them")
        return
    for name in ENGINE_OPTIONS:
        if name in given:
            hint = "; with --models it is --only NAME" if name == "model" and "models" in given else ""
            raise UsageError(f"--{name} is for --engine ENGINE only{hint}")
