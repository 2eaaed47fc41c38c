"""`depthstream models build`: build a TensorRT engine of a network for one input size and keep it in the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from stream.errors import UsageError
from stream.frames import Size
from stream.models.base import DepthModel
from stream.models.catalog import find as find_model
from stream.models.loading import load_network, provenance
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.precision import Precision
    from stream.engines.tensorrt.progress import Progress as OnProgress
    from stream.engines.tensorrt.store import StoredEngine


def build_engine(
    name: str,
    *,
    engine: Literal["tensorrt"] = "tensorrt",
    size: str,
    batch: int = 1,
    precision: Precision = "fp16",
    weights: Literal["trained", "random"] = "trained",
    float32_parts: Sequence[str] = (),
    rebuild: bool = False,
    folder: Path | None = None,
) -> int:
    """Build the engine unless it is stored already; print its path, its size in MB and the seconds it took.

    On a machine with a GPU the engine gate checks the engine; the exit status is 1 if the gate refuses it. ``size`` is
    "WxH" of the network's input; ``folder`` replaces the cache. Raises UnknownModel, UsageError, MissingPackage,
    WeightsError and EngineError.
    """
    model = find_model(name)
    input_size = network_input(size, model)
    if batch < 1:
        raise UsageError(f"--batch {batch}: an engine takes at least one image")
    stored, seconds = _find_or_build(
        model, input_size, batch, precision, weights, tuple(float32_parts), rebuild, folder
    )
    print(stored.path)
    origin = "already built" if seconds is None else f"built in {seconds:.1f} s"
    about = f"{name}, {input_size} (width x height), batch 1 to {batch}, {precision}"
    print(f"{about}: {stored.size_bytes / 1e6:.1f} MB, {origin} by {stored.recipe.flavour} {stored.recipe.version}")
    return _gate(model, ModelSettings(name=model.name, weights=weights, max_batch=batch), stored)


def _gate(model: DepthModel, settings: ModelSettings, stored: StoredEngine) -> int:
    """Run the engine gate and print its verdict, or why it was not run; returns 1 if the engine is refused."""
    if settings.weights == "random":
        print("random weights: good for measuring speed only, not checked by the engine gate")
        return 0
    from stream.engines.tensorrt import api

    if api.current_gpu() is None:
        print("not checked by the engine gate, which needs the GPU: that is done when a pipeline first uses it there")
        return 0
    from stream.inference.gpu_engines import why_engine_refused

    refusal = why_engine_refused(model, settings, stored)
    print(f"accepted by the engine gate: {stored.verdict_path}" if refusal is None else f"REFUSED: {refusal}")
    return 0 if refusal is None else 1


def _find_or_build(
    model: DepthModel,
    size: Size,
    batch: int,
    precision: Precision,
    weights: Literal["trained", "random"],
    parts: tuple[str, ...],
    rebuild: bool,
    folder: Path | None,
) -> tuple[StoredEngine, float | None]:
    """The engine, and the seconds that building took; None if it was stored already."""
    from stream.engines.tensorrt import api, request
    from stream.engines.tensorrt.build import Profile
    from stream.engines.tensorrt.store import EngineStore
    from stream.inference.tensorrt_engines import engines_folder
    from stream.models.networks import outputs_of

    trt = api.load()
    source, profile = provenance(model, weights), Profile(size, batch, batch)
    wanted = request.BuildRequest(model.name, source, profile, precision, parts, outputs_of(model.name))
    store, gpu = EngineStore(folder or engines_folder()), api.current_gpu()
    if not rebuild and (stored := request.find_exact(wanted, store, trt, gpu)) is not None:
        return stored, None
    with _bar(model.name) as on_progress:
        built = request.build_and_store(wanted, load_network(model, weights), store, trt, gpu, on_progress)
    return built, built.build_s


@contextmanager
def _bar(name: str) -> Iterator[OnProgress]:
    err = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("Exporting to ONNX", total=None)
        yield lambda step, total, phase: progress.update(task, completed=step, total=total, description=phase)


def network_input(text: str, model: DepthModel) -> Size:
    """Parse "WxH", a size that the network takes. Raises UsageError that names the nearest possible size."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if match is None:
        raise UsageError(f'--size {text}: it is width x height of the network\'s input, such as "256x192"')
    width, height, multiple = int(match[1]), int(match[2]), model.spec.multiple
    if model.spec.fixed_size and (height, width) != _fixed(model):
        raise UsageError(f"--size {text}: {model.name} takes {_fixed(model)} only")
    if height % multiple or width % multiple or not height or not width:
        near = "x".join(str(max(1, round(side / multiple)) * multiple) for side in (width, height))
        raise UsageError(f"--size {text}: {model.name} needs multiples of {multiple}; the nearest is {near}")
    return Size(height, width)


def _fixed(model: DepthModel) -> Size:
    canvas = model.spec.canvas
    return canvas.size if canvas else Size(model.spec.side, model.spec.side)
