"""Requests for a TensorRT engine: find it in the store, or export, build and store it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING

from stream.core.optional import install_command
from stream.engines.onnx_export import EXPORT_VERSION, OPSET, OUTPUTS, export_onnx
from stream.engines.precision import Precision
from stream.engines.tensorrt.api import Gpu, TensorRT
from stream.engines.tensorrt.build import PORTABLE, Profile, Targets, build, rtx_targets
from stream.engines.tensorrt.store import ANY_ONNX, EngineStore, Recipe, StoredEngine
from stream.errors import EngineError

if TYPE_CHECKING:
    from torch import nn

    from stream.engines.tensorrt.progress import Progress

log = logging.getLogger(__name__)

PARTS = "float32_parts"
"""The key in an engine's source of the parts that the user left in float32."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """The network, inputs and precision of an engine."""

    network: str
    """The model's name."""
    source: Mapping[str, str]
    """What determines the network's outputs: the hash of its weights, the version of its code."""
    profile: Profile
    precision: Precision
    float32_parts: tuple[str, ...] = ()
    """See ``export_onnx``."""
    outputs: tuple[str, ...] = OUTPUTS
    """Names of the network's outputs."""

    def full_source(self) -> dict[str, str]:
        """``source`` and everything else that determines the ONNX file."""
        torch_version = version("torch").partition("+")[0]  # CPU and GPU builds of torch export the same
        exporter = f"torch {torch_version}, opset {OPSET}, {EXPORT_VERSION}"
        details = {PARTS: " ".join(self.float32_parts), "outputs": " ".join(self.outputs)}
        return {**self.source, "exporter": exporter, **details}

    def recipe(self, trt: TensorRT, gpu: Gpu | None, targets: Targets, onnx_sha256: str = ANY_ONNX) -> Recipe:
        """The store's key of the engine that ``trt`` builds on this GPU for ``targets``."""
        portable = gpu is None or (trt.flavour == "tensorrt_rtx" and not targets)
        capability, driver = (PORTABLE, "any") if portable or gpu is None else (gpu.compute_capability, gpu.driver)
        made_for = (trt.flavour, trt.version, capability, driver)
        size, best, most = self.profile.size, self.profile.best_batch, self.profile.max_batch
        return Recipe(self.network, onnx_sha256, *made_for, self.precision, size, best, most)


def find_exact(request: BuildRequest, store: EngineStore, trt: TensorRT, gpu: Gpu | None) -> StoredEngine | None:
    """A stored engine for exactly this request that runs on this machine; one for this very GPU is preferred."""
    source = request.full_source()
    # () finds TensorRT-RTX's portable engines, which another machine may have built.
    for targets in dict.fromkeys((*_target_choices(trt, gpu), ())):
        if (engine := store.find(request.recipe(trt, gpu, targets), source)) is not None:
            return engine
    return None


def find_compatible(request: BuildRequest, store: EngineStore, trt: TensorRT, gpu: Gpu | None) -> StoredEngine | None:
    """The smallest stored engine that can serve the request: it may take more images or have other parts in float32."""
    source = _without_float32_parts(request.full_source())
    alike = [engine for engine in store.engines() if _without_float32_parts(engine.source) == source]
    for targets in dict.fromkeys((*_target_choices(trt, gpu), ())):
        wanted = request.recipe(trt, gpu, targets)
        fits = [engine for engine in alike if _serves(engine.recipe, wanted)]
        if fits:
            return min(fits, key=lambda engine: engine.recipe.max_batch)
    return None


def build_and_store(
    request: BuildRequest,
    network: nn.Module,
    store: EngineStore,
    trt: TensorRT,
    gpu: Gpu | None,
    progress: Progress | None = None,
) -> StoredEngine:
    """Export the network, build the engine and store it. Raises EngineError, MissingPackage, OSError."""
    choices = _target_choices(trt, gpu)
    if not choices:
        raise EngineError(
            f"{trt} builds an engine on the GPU that it is for, and torch sees none here; TensorRT-RTX needs none "
            f"to build: without tensorrt, {install_command('tensorrt-rtx')}"
        )
    onnx = _export(request, network)
    for targets in choices:
        recipe = request.recipe(trt, gpu, targets, sha256(onnx).hexdigest())
        timing = store.timing_cache(trt.flavour, trt.version, recipe.compute_capability)
        started = monotonic()
        try:
            plan = build(
                trt,
                onnx,
                request.profile,
                targets=targets,
                timing_cache=timing,
                progress=progress,
                outputs=request.outputs,
            )
        except EngineError as error:
            if targets == choices[-1]:
                raise
            log.warning("%s, for %s; trying a portable engine", error, " ".join(targets))
            continue
        return store.write(recipe, request.full_source(), plan, monotonic() - started)
    raise AssertionError("the last choice returns or raises")


def _export(request: BuildRequest, network: nn.Module) -> bytes:
    parts, outputs = request.float32_parts, request.outputs
    return export_onnx(network, request.profile.size, precision=request.precision, float32_parts=parts, outputs=outputs)


def _serves(recipe: Recipe, wanted: Recipe) -> bool:
    best, most = wanted.best_batch, wanted.max_batch
    return recipe.max_batch >= most and replace(recipe, onnx_sha256=ANY_ONNX, best_batch=best, max_batch=most) == wanted


def _without_float32_parts(source: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in source.items() if name != PARTS}


def _target_choices(trt: TensorRT, gpu: Gpu | None) -> tuple[Targets, ...]:
    if trt.flavour == "tensorrt_rtx":
        return rtx_targets(gpu)
    return () if gpu is None else ((),)
