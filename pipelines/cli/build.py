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
from stream.estimator import network_of
from stream.frames import Size
from stream.models.base import DepthModel
from stream.models.cache import cache_folder
from stream.models.catalog import find as find_model
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.engine_store import StoredEngine
    from stream.engines.precision import Precision
    from stream.engines.tensorrt_progress import Progress as Told


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
    """Print where the engine is, its size and the seconds it took; 0. An engine that is there already is not rebuilt.

    ``size`` is "HxW" of the network's input. ``folder``: instead of the cache. Raises UnknownModel, UsageError,
    MissingPackage, WeightsError, EngineError.
    """
    model = find_model(name)
    wanted = _size(size, model)
    if batch < 1:
        raise UsageError(f"--batch {batch}: an engine takes at least one picture")
    stored, seconds = _found_or_made(model, wanted, batch, precision, weights, tuple(float32_parts), rebuild, folder)
    print(stored.path)
    took = "was there already" if seconds is None else f"built in {seconds:.1f} s"
    about = f"{name}, {wanted.height}x{wanted.width} (height x width), batch 1 to {batch}, {precision}"
    print(f"{about}: {stored.size_bytes / 1e6:.1f} MB, {took} by {stored.recipe.flavour} {stored.recipe.version}")
    if weights == "random":
        print("random weights: good for measuring speed only")
    if not stored.verdict_path.is_file():
        print("not checked by the engine gate yet, which needs the GPU: see docs/gpu.md")
    return 0


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
    from stream.engines import tensorrt_api, tensorrt_order
    from stream.engines.engine_store import EngineStore
    from stream.engines.tensorrt_build import Profile

    trt = tensorrt_api.load()
    order = tensorrt_order.Order(model.name, _source(model, weights), Profile(size, batch, batch), precision, parts)
    store, gpu = EngineStore(folder or cache_folder() / "engines"), tensorrt_api.gpu()
    if not rebuild and (there := tensorrt_order.find(order, store, trt, gpu)) is not None:
        return there, None
    with _bar(model.name) as told:
        made = tensorrt_order.make(
            order, network_of(model, ModelSettings(name=model.name, weights=weights)), store, trt, gpu, told
        )
    return made, made.build_s


def _source(model: DepthModel, weights: str) -> dict[str, str]:
    from stream.models.networks import code_version
    from stream.models.weights import locate, sha256_of

    digest = "random" if weights == "random" else sha256_of(locate(model))
    return {"weights": digest, "code": code_version(model.name)}


@contextmanager
def _bar(name: str) -> Iterator[Told]:
    err = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("Exporting to ONNX", total=None)
        yield lambda step, total, phase: progress.update(task, completed=step, total=total, description=phase)


def _size(text: str, model: DepthModel) -> Size:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if match is None:
        raise UsageError(f'--size {text}: it is height x width of the network\'s input, such as "192x256"')
    height, width, multiple = int(match[1]), int(match[2]), model.spec.multiple
    if height % multiple or width % multiple or not height or not width:
        near = "x".join(str(max(1, round(side / multiple)) * multiple) for side in (height, width))
        raise UsageError(f"--size {text}: {model.name} needs multiples of {multiple}; the nearest is {near}")
    return Size(height, width)
