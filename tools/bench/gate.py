"""Compare bfloat16 with float32 on this CPU in alternating rounds, and ask the engine gate whether it accepts bfloat16.

    python -m tools.bench.gate [--rounds 15] [--runs 8]

Run nothing else on the machine meanwhile. MiDaS small runs with its official weights if they are in the cache, else
with random ones, whose verdict does not apply to the official ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

from pipelines.benchmark.suite import machine_line
from stream.core.machine import probe
from stream.engines.cpu_setup import keep_freed_memory, wait_without_spinning
from stream.engines.gate.gate import BOUNDS, judge
from stream.engines.gate.golden_inputs import golden_inputs
from stream.engines.gate.verdict import Verdict
from stream.frames import Size
from stream.models.base import DepthModel
from stream.models.cache import weights_path
from stream.models.catalog import MODELS
from stream.models.networks import build, code_version
from stream.models.weights import load_into, load_state, random_state

if TYPE_CHECKING:
    from torch import nn

    from stream.engines.torchscript import TorchScriptEngine

Dtype: TypeAlias = Literal["fp32", "bf16"]

SIZES = {"tiny": Size(192, 256), "midas_small": Size(256, 256)}
THREADS = (1, 2)
MAX_BATCH = 4


def main() -> None:
    """Measure and judge; print one table, and the verdict of each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=8, help="images of each kind in a round")
    arguments = parser.parse_args()
    wait_without_spinning()
    keep_freed_memory()
    console = Console(width=160)
    bf16 = "multiplies bfloat16" if probe().avx512_bf16 else "does not multiply bfloat16"
    table = Table(title=f"{machine_line()}; the CPU {bf16}; engine only, batch 1, p50 of {arguments.rounds} rounds")
    for column in ("network", "threads", "float32 ms", "bfloat16 ms", "float32 / bfloat16"):
        table.add_column(column, justify="left" if column == "network" else "right")
    models = [model for model in MODELS if model.name in SIZES]
    for model in models:
        for threads in THREADS:
            table.add_row(*_row(model, threads, arguments.rounds, arguments.runs))
    console.print(table)
    for model in models:
        console.print(_verdict_text(model, *_timed_verdict(model)), highlight=False)


def _row(model: DepthModel, threads: int, rounds: int, runs: int) -> Sequence[str]:
    """Alternate rounds, so that other load affects both engines; the ratio is the median of the rounds' ratios."""
    size = SIZES[model.name]
    pixels = np.random.default_rng(0).standard_normal((1, 3, *size), np.float32)
    engines = [_engine(model, dtype, threads) for dtype in ("fp32", "bf16")]
    times = [[_mean_s(partial(engine.infer, pixels=pixels), runs) for engine in engines] for _ in range(rounds + 1)]
    slow, fast = zip(*times[1:], strict=True)  # without the first round, which compiles
    ratio = median(one / other for one, other in times[1:])
    return (
        f"{model.name}, {_weights(model)} weights, {size}",
        str(threads),
        f"{1e3 * median(slow):.1f}",
        f"{1e3 * median(fast):.1f}",
        f"{ratio:.2f}",
    )


def _mean_s(work: Callable[[], object], runs: int) -> float:
    start = perf_counter()
    for _ in range(runs):
        work()
    return (perf_counter() - start) / runs


def _timed_verdict(model: DepthModel) -> tuple[Verdict, float]:
    """The gate's verdict on bfloat16 and the seconds it took, without rendering and compiling."""
    reference, candidate, images = _engine(model, "fp32"), _engine(model, "bf16"), golden_inputs(model.spec)
    for pixels in images.images:
        for engine in (reference, candidate):
            engine.prepare(Size(*pixels.shape[2:]))
    start = perf_counter()
    return judge(reference, candidate, images, BOUNDS["bf16"]), perf_counter() - start


def _verdict_text(model: DepthModel, verdict: Verdict, seconds: float) -> str:
    lines = verdict.reasons or (f"largest level offset {verdict.metrics.level_off:.2g}",)
    word = "accepted" if verdict.accepted else "REFUSED"
    name = f"{model.name}, {_weights(model)} weights, bfloat16"
    return "\n    ".join((f"{name}: {word} in {seconds:.1f} s; {verdict.metrics}", *lines))


def _engine(model: DepthModel, dtype: Dtype, threads: int = 1) -> TorchScriptEngine:
    from stream.engines.torchscript import TorchScriptEngine  # loads torch: after wait_without_spinning

    def network() -> nn.Module:
        module = build(model.name)
        load_into(module, load_state(model) if _weights(model) == "trained" else random_state(model))
        return module

    return TorchScriptEngine(
        model.name,
        network,
        weights_key=_weights(model),
        code_version=code_version(model.name),
        cache=None,
        threads=threads,
        max_batch=MAX_BATCH,
        dtype=dtype,
    )


def _weights(model: DepthModel) -> str:
    return "trained" if weights_path(model).is_file() else "random"


if __name__ == "__main__":
    main()
