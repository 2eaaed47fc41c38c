"""`depthstream bench --engine`: what batches cost the engine of a network here, and which ``max_batch`` is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.benchmark.batch_curve import WARM_UP, Bench, CpuBench, DeviceBench, Point, measure, recommended
from pipelines.benchmark.suite import machine_line
from pipelines.cli.build import network_input
from pipelines.cli.json_file import check_writable, console_beside, write_json
from stream.errors import SinkError
from stream.frames import Size
from stream.inference.estimator import Estimator
from stream.inference.open import choice_for
from stream.models.cache import trace_folder
from stream.models.catalog import find
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.select import Choice

CAMERA = Size(480, 640)
"""Without --size: the network's input for such an image."""


def bench_engine(
    model: str,
    *,
    engine: Literal["auto", "torchscript", "cuda", "cuda_graph", "tensorrt"] = "auto",
    size: str | None = None,
    batch: int = 8,
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto",
    weights: Literal["trained", "random"] = "trained",
    seconds: float = 2.0,
    json_file: Path | None = None,
) -> int:
    """Print latency and memory of batches 1 to ``batch``, and the ``max_batch`` that they speak for; 0.

    ``size``: "WxH" of the network's input. ``seconds``: for each batch. The figures are kept beside the engine, too.
    Raises UnknownModel, SettingsError, UsageError, WeightsError, EngineError.
    """
    if json_file is not None:
        check_writable(json_file)
    settings = ModelSettings(
        name=model, engine=engine, precision=precision, weights=weights, max_batch=batch, layout="latency"
    )
    choice, measured_size = choice_for(settings), _size(settings, size)
    err = Console(stderr=True)
    with err.status("loading") as status:
        bench, engine_line, close = _opened(settings, choice, measured_size)
        try:
            points = measure(bench, batch, seconds, lambda n: status.update(f"batches of {n}"))
        finally:
            close()
    found = _facts(settings, engine_line, measured_size, bench, points)
    console_beside(json_file).print(curve_table(found, points))
    if json_file is not None:
        write_json(json_file, found)
    kept = _kept_at(model, measured_size, choice)
    try:
        write_json(kept, found)
        err.print(f"kept in {kept}", highlight=False, markup=False, soft_wrap=True)
    except SinkError as error:  # a cache that others made; the figures have been told
        err.print(f"not kept for later: {error}", highlight=False, markup=False, soft_wrap=True)
    return 0


def curve_table(found: dict[str, Any], points: Sequence[Point]) -> Table:
    """One row a batch."""
    title = f"{found['machine']}; {found['engine']}; {found['size']}; warm-up {WARM_UP} runs"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("batch", "p50 ms", "p95 ms", "ms an image", "images/s", "memory MiB", "runs"):
        table.add_column(heading, justify="right")
    for point in points:
        ms = (point.p50_ms, point.p95_ms, point.p50_ms / point.batch)
        statistics = (*(f"{value:.2f}" for value in ms), f"{point.fps:.1f}", f"{point.memory_mib:.0f}", str(point.runs))
        table.add_row(str(point.batch), *statistics)
    random = " (random weights: speed only)" if found["weights"] == "random" else ""
    table.caption = f"recommended: \\[model] max_batch = {found['recommended_max_batch']}{random}"
    table.caption_justify = "left"
    return table


def _size(settings: ModelSettings, text: str | None) -> Size:
    if text is not None:
        return network_input(text, find(settings.name))
    return Estimator(settings.model_copy(update={"engine": "torchscript"})).network_size(CAMERA)


def _opened(settings: ModelSettings, choice: Choice, size: Size) -> tuple[Bench, str, Any]:
    """What is measured, a line that describes it, and what closes it."""
    if choice.engine == "torchscript":
        estimator = Estimator(settings, choice=choice).load()
        return CpuBench(estimator.infer_raw, size), estimator.describe(), estimator.close
    import torch

    from stream.inference.gpu_engines import open_on_gpu

    free_bytes = torch.cuda.mem_get_info()[0]
    engine = open_on_gpu(find(settings.name), settings, choice)
    engine.prepare(size)
    return DeviceBench(engine, size, free_bytes=free_bytes), engine.describe(), engine.close


def _facts(
    settings: ModelSettings, engine_line: str, size: Size, bench: Bench, points: Sequence[Point]
) -> dict[str, Any]:
    return {
        "machine": machine_line(),
        "model": settings.name,
        "weights": settings.weights,
        "engine": engine_line,
        "size": str(size),
        "scope": "engine only",
        "waits": bench.waits,
        "warm_up_runs": WARM_UP,
        "versions": {name: version(name) for name in ("torch", "numpy")},
        "points": [asdict(point) | {"images_per_s": point.fps} for point in points],
        "recommended_max_batch": recommended(points),
    }


def _kept_at(model: str, size: Size, choice: Choice) -> Path:
    """Beside the engine, or beside the traces."""
    folder = trace_folder()
    if choice.engine == "tensorrt":
        from stream.inference.tensorrt_engines import engines_folder

        folder = engines_folder()
    return folder / f"{model}-{size}-{choice.engine}-{choice.precision}.bench.json"
