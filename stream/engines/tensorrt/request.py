"""An engine that is wanted for this machine: found in the store, or exported, built and kept there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING

from stream.engines.onnx_export import EXPORT_VERSION, OPSET, OUTPUTS, export_onnx
from stream.engines.precision import Precision
from stream.engines.tensorrt.api import Gpu, TensorRT
from stream.engines.tensorrt.build import PORTABLE, Profile, Targets, build, rtx_targets
from stream.engines.tensorrt.store import ANY, EngineStore, Recipe, StoredEngine
from stream.errors import EngineError

if TYPE_CHECKING:
    from torch import nn

    from stream.engines.tensorrt.progress import Progress

log = logging.getLogger(__name__)

PARTS = "float32_parts"
"""The entry of an engine's source that says which parts were left in float32 by hand."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What is wanted."""

    network: str
    source: Mapping[str, str]
    """What decides which numbers the network gives: hash of its weights, version of its code."""
    profile: Profile
    precision: Precision
    float32_parts: tuple[str, ...] = ()
    """See ``export_onnx``."""
    outputs: tuple[str, ...] = OUTPUTS
    """Names of what the network returns."""

    def full_source(self) -> dict[str, str]:
        """``source`` and all else that decides the ONNX file."""
        torch_version = version("torch").partition("+")[0]  # whether it is torch for a GPU does not matter
        exporter = f"torch {torch_version}, opset {OPSET}, {EXPORT_VERSION}"
        words = {PARTS: " ".join(self.float32_parts), "outputs": " ".join(self.outputs)}
        return {**self.source, "exporter": exporter, **words}

    def recipe(self, trt: TensorRT, gpu: Gpu | None, targets: Targets, onnx_sha256: str = ANY) -> Recipe:
        portable = gpu is None or (trt.flavour == "tensorrt_rtx" and not targets)
        capability, driver = (PORTABLE, "any") if portable or gpu is None else (gpu.compute_capability, gpu.driver)
        made_for = (trt.flavour, trt.version, capability, driver)
        size, best, most = self.profile.size, self.profile.best_batch, self.profile.max_batch
        return Recipe(self.network, onnx_sha256, *made_for, self.precision, size, best, most)


def find(order: BuildRequest, store: EngineStore, trt: TensorRT, gpu: Gpu | None) -> StoredEngine | None:
    """An engine that was built before and fits this machine; one that is for this very GPU goes first."""
    source = order.full_source()
    for targets in dict.fromkeys((*_choices(trt, gpu), ())):
        if (engine := store.find(order.recipe(trt, gpu, targets), source)) is not None:
            return engine
    return None


def serving(order: BuildRequest, store: EngineStore, trt: TensorRT, gpu: Gpu | None) -> StoredEngine | None:
    """As ``find``, and an engine for more images, or with other parts in float32, does as well: the smallest one."""
    source = _without_parts(order.full_source())
    alike = [engine for engine in store.engines() if _without_parts(engine.source) == source]
    for targets in dict.fromkeys((*_choices(trt, gpu), ())):
        wanted = order.recipe(trt, gpu, targets)
        fits = [engine for engine in alike if _serves(engine.recipe, wanted)]
        if fits:
            return min(fits, key=lambda engine: engine.recipe.max_batch)
    return None


def make(
    order: BuildRequest,
    network: nn.Module,
    store: EngineStore,
    trt: TensorRT,
    gpu: Gpu | None,
    progress: Progress | None = None,
) -> StoredEngine:
    """Export and build it and keep it in ``store``. Raises EngineError, MissingPackage, OSError."""
    choices = _choices(trt, gpu)
    if not choices:
        raise EngineError(
            f"{trt} builds an engine on the GPU that it is for, and torch sees none here; TensorRT-RTX needs none "
            'to build: pip install "depthstream[tensorrt-rtx]", without tensorrt'
        )
    onnx = _exported(order, network)
    for targets in choices:
        recipe = order.recipe(trt, gpu, targets, sha256(onnx).hexdigest())
        timing = store.timing_cache(trt.flavour, trt.version, recipe.compute_capability)
        begun = monotonic()
        try:
            plan = build(
                trt,
                onnx,
                order.profile,
                targets=targets,
                timing_cache=timing,
                progress=progress,
                outputs=order.outputs,
            )
        except EngineError as error:
            if targets == choices[-1]:
                raise
            log.warning("%s, for %s; trying a portable engine", error, " ".join(targets))
            continue
        return store.write(recipe, order.full_source(), plan, monotonic() - begun)
    raise AssertionError("the last choice returns or raises")


def _exported(order: BuildRequest, network: nn.Module) -> bytes:
    parts, outputs = order.float32_parts, order.outputs
    return export_onnx(network, order.profile.size, precision=order.precision, float32_parts=parts, outputs=outputs)


def _serves(recipe: Recipe, wanted: Recipe) -> bool:
    best, most = wanted.best_batch, wanted.max_batch
    return recipe.max_batch >= most and replace(recipe, onnx_sha256=ANY, best_batch=best, max_batch=most) == wanted


def _without_parts(source: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in source.items() if name != PARTS}


def _choices(trt: TensorRT, gpu: Gpu | None) -> tuple[Targets, ...]:
    if trt.flavour == "tensorrt_rtx":
        return rtx_targets(gpu)
    return () if gpu is None else ((),)
