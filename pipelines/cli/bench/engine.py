"""`depthstream bench --engine`: time and memory of one engine by batch size, and the ``max_batch`` they recommend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from pipelines.cli.json_file import check_writable, table_console, write_json
from stream.errors import SinkError
from stream.frames import Size
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.open import choice_for
from stream.models.cache import trace_folder
from stream.models.catalog import find
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.select import Choice

CAMERA = Size(480, 640)
"""Image size that determines the network's input when --size is not given."""


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
    """Print latency and memory of batches 1 to ``batch`` and the recommended ``max_batch``; returns 0.

    ``size`` is "WxH" of the network's input; each batch size runs for ``seconds``. The results are also stored next to
    the engine. Raises UnknownModel, SettingsError, UsageError, WeightsError and EngineError.
    """
    if json_file is not None:
        check_writable(json_file)
    settings = ModelSettings(
        name=model, engine=engine, precision=precision, weights=weights, max_batch=batch, layout="latency"
    )
    choice, measured_size = choice_for(settings), _size(settings, size)
    err = Console(stderr=True)
    with err.status("loading") as status:
        bench, engine_line, close = _open(settings, choice, measured_size)
        try:
            points = measure(bench, batch, seconds, lambda n: status.update(f"batches of {n}"))
        finally:
            close()
    report = _report_json(settings, engine_line, measured_size, bench, points)
    table_console(json_file).print(curve_table(report, points))
    if json_file is not None:
        write_json(json_file, report)
    stored = _stored_at(model, measured_size, choice)
    try:
        write_json(stored, report)
        err.print(f"stored in {stored}", highlight=False, markup=False, soft_wrap=True)
    except SinkError as error:  # such as a cache that belongs to another user; the results are printed already
        err.print(f"not stored: {error}", highlight=False, markup=False, soft_wrap=True)
    return 0


def curve_table(report: dict[str, Any], points: Sequence[Point]) -> Table:
    """The table with one row per batch size."""
    title = f"{report['machine']}; {report['engine']}; {report['size']}; warm-up {WARM_UP} runs"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("batch", "p50 ms", "p95 ms", "ms an image", "images/s", "memory MiB", "runs"):
        table.add_column(heading, justify="right")
    for point in points:
        ms = (point.p50_ms, point.p95_ms, point.p50_ms / point.batch)
        cells = (*(f"{value:.2f}" for value in ms), f"{point.fps:.1f}", f"{point.memory_mib:.0f}", str(point.runs))
        table.add_row(str(point.batch), *cells)
    random = " (random weights: speed only)" if report["weights"] == "random" else ""
    table.caption = f"recommended: \\[model] max_batch = {report['recommended_max_batch']}{random}"
    table.caption_justify = "left"
    return table


def _size(settings: ModelSettings, text: str | None) -> Size:
    if text is not None:
        return network_input(text, find(settings.name))
    return CpuEstimator(settings.model_copy(update={"engine": "torchscript"})).network_size(CAMERA)


def _open(settings: ModelSettings, choice: Choice, size: Size) -> tuple[Bench, str, Callable[[], object]]:
    """The engine to measure, a line that describes it, and the function that closes it."""
    if choice.engine == "torchscript":
        estimator = CpuEstimator(settings, choice=choice).load()
        return CpuBench(estimator.infer_raw, size), estimator.describe(), estimator.close
    import torch

    from stream.inference.gpu_engines import open_on_gpu

    free_bytes = torch.cuda.mem_get_info()[0]  # before the engine is opened, so that its own memory counts
    engine = open_on_gpu(find(settings.name), settings, choice)
    engine.prepare(size)
    return DeviceBench(engine, size, free_bytes=free_bytes), engine.describe(), engine.close


def _report_json(
    settings: ModelSettings, engine_line: str, size: Size, bench: Bench, points: Sequence[Point]
) -> dict[str, Any]:
    return {
        "machine": machine_line(),
        "model": settings.name,
        "weights": settings.weights,
        "engine": engine_line,
        "size": str(size),
        "scope": "engine only",
        "synchronised_by": bench.synchronised_by,
        "warm_up_runs": WARM_UP,
        "versions": {name: version(name) for name in ("torch", "numpy")},
        "points": [asdict(point) | {"images_per_s": point.fps} for point in points],
        "recommended_max_batch": recommended(points),
    }


def _stored_at(model: str, size: Size, choice: Choice) -> Path:
    """The file for the results: in the folder of the TensorRT engines, or in that of the traces."""
    folder = trace_folder()
    if choice.engine == "tensorrt":
        from stream.inference.tensorrt_engines import engines_folder

        folder = engines_folder()
    return folder / f"{model}-{size}-{choice.engine}-{choice.precision}.bench.json"
