"""`depthstream models build`: a TensorRT engine of a network, for one size, kept in the cache."""

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
from stream.inference.estimator import network_of
from stream.models.base import DepthModel
from stream.models.catalog import find as find_model
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.precision import Precision
    from stream.engines.tensorrt.progress import Progress as Told
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
    """Print where the engine is, its size and the seconds it took; an engine that is there already is not rebuilt.

    Where there is a GPU the engine gate judges it; the exit status is 1 if it is refused.
    ``size`` is "WxH" of the network's input. ``folder``: instead of the cache. Raises UnknownModel, UsageError,
    MissingPackage, WeightsError, EngineError.
    """
    model = find_model(name)
    wanted = network_input(size, model)
    if batch < 1:
        raise UsageError(f"--batch {batch}: an engine takes at least one image")
    stored, seconds = _found_or_made(model, wanted, batch, precision, weights, tuple(float32_parts), rebuild, folder)
    print(stored.path)
    took = "was there already" if seconds is None else f"built in {seconds:.1f} s"
    about = f"{name}, {wanted} (width x height), batch 1 to {batch}, {precision}"
    print(f"{about}: {stored.size_bytes / 1e6:.1f} MB, {took} by {stored.recipe.flavour} {stored.recipe.version}")
    return _judged(model, ModelSettings(name=model.name, weights=weights, max_batch=batch), stored)


def _judged(model: DepthModel, settings: ModelSettings, stored: StoredEngine) -> int:
    """What the engine gate says, or why it says nothing; 1: refused."""
    if settings.weights == "random":
        print("random weights: good for measuring speed only, not judged by the engine gate")
        return 0
    from stream.engines.tensorrt import api

    if api.gpu() is None:
        print("not judged by the engine gate, which needs the GPU: that is done when a pipeline first uses it there")
        return 0
    from stream.inference.gpu_engines import refusal_of

    why_not = refusal_of(model, settings, stored)
    print(f"accepted by the engine gate: {stored.verdict_path}" if why_not is None else f"REFUSED: {why_not}")
    return 0 if why_not is None else 1


def _found_or_made(
    model: DepthModel,
    size: Size,
    batch: int,
    precision: Precision,
    weights: Literal["trained", "random"],
    parts: tuple[str, ...],
    rebuild: bool,
    folder: Path | None,
) -> tuple[StoredEngine, float | None]:
    from stream.engines.tensorrt import api, request
    from stream.engines.tensorrt.build import Profile
    from stream.engines.tensorrt.store import EngineStore
    from stream.inference.tensorrt_engines import engines_folder, source_of
    from stream.models.networks import outputs_of

    trt = api.load()
    source, profile = source_of(model, weights), Profile(size, batch, batch)
    order = request.BuildRequest(model.name, source, profile, precision, parts, outputs_of(model.name))
    store, gpu = EngineStore(folder or engines_folder()), api.gpu()
    if not rebuild and (there := request.find(order, store, trt, gpu)) is not None:
        return there, None
    with _bar(model.name) as told:
        made = request.make(
            order, network_of(model, ModelSettings(name=model.name, weights=weights)), store, trt, gpu, told
        )
    return made, made.build_s


@contextmanager
def _bar(name: str) -> Iterator[Told]:
    err = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("Exporting to ONNX", total=None)
        yield lambda step, total, phase: progress.update(task, completed=step, total=total, description=phase)


def network_input(text: str, model: DepthModel) -> Size:
    """ "WxH" as the network takes it. Raises UsageError with the nearest that it does."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if match is None:
        raise UsageError(f'--size {text}: it is width x height of the network\'s input, such as "256x192"')
    width, height, multiple = int(match[1]), int(match[2]), model.spec.multiple
    if model.spec.fixed and (height, width) != _fixed(model):
        raise UsageError(f"--size {text}: {model.name} takes {_fixed(model)} only")
    if height % multiple or width % multiple or not height or not width:
        near = "x".join(str(max(1, round(side / multiple)) * multiple) for side in (width, height))
        raise UsageError(f"--size {text}: {model.name} needs multiples of {multiple}; the nearest is {near}")
    return Size(height, width)


def _fixed(model: DepthModel) -> Size:
    canvas = model.spec.canvas
    return canvas.size if canvas else Size(model.spec.side, model.spec.side)
