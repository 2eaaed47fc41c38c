"""TensorRT's engines of one network: those in the store that may serve here, and those that are built when missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch

from stream.engines.eager import device_name
from stream.engines.gate.candidates import Candidate
from stream.engines.precision import Precision, half_of
from stream.engines.tensorrt import api, request
from stream.engines.tensorrt.build import Profile
from stream.engines.tensorrt.engine import TensorRTEngine
from stream.engines.tensorrt.progress import Progress, logged
from stream.engines.tensorrt.request import BuildRequest
from stream.engines.tensorrt.store import EngineStore, StoredEngine
from stream.engines.wrappers import CancelToken
from stream.errors import EngineError
from stream.frames import Size
from stream.inference.estimator import network_of
from stream.models.base import DepthModel
from stream.models.cache import cache_folder
from stream.models.networks import code_version, outputs_of
from stream.models.weights import locate, sha256_of
from stream.settings import ModelSettings

log = logging.getLogger(__name__)

HALF: tuple[Precision, ...] = ("mixed", "fp16")
SINGLE: tuple[Precision, ...] = ("fp32",)


def engines_folder() -> Path:
    """Where built engines are kept."""
    return cache_folder() / "engines"


def source_of(model: DepthModel, weights: Literal["trained", "random"]) -> dict[str, str]:
    """What decides the network's numbers: its weights and its code. Raises WeightsError: they are not here."""
    digest = "random" if weights == "random" else sha256_of(locate(model))
    return {"weights": digest, "code": code_version(model.name)}


def in_turn(settings: ModelSettings) -> tuple[tuple[Precision, ...], ...]:
    """Precisions in the order to try them; one of each group is enough."""
    return (SINGLE,) if settings.precision in ("fp32", "bf16") else (HALF, SINGLE)


def any_built(model: DepthModel, settings: ModelSettings, folder: Path | None = None) -> bool:
    """Whether the store has engines that might serve these settings; cheap, and TensorRT is not loaded for it."""
    precisions = [precision for group in in_turn(settings) for precision in group]
    recipes = (engine.recipe for engine in EngineStore(folder or engines_folder()).engines())
    return any(
        recipe.network == model.name and recipe.precision in precisions and recipe.max_batch >= settings.max_batch
        for recipe in recipes
    )


class TensorRTEngines:
    """What may serve ``settings``, size by size."""

    def __init__(
        self,
        model: DepthModel,
        settings: ModelSettings,
        source: Mapping[str, str],
        device: str = "cuda",
        *,
        build: bool,
        folder: Path | None = None,
    ) -> None:
        """``build``: what is missing, which takes minutes. Raises MissingPackage."""
        self._model, self._settings, self._source, self._build = model, settings, source, build
        self._device = torch.device(device)
        self._trt, self._gpu = api.load(), api.gpu()
        self._store = EngineStore(folder or engines_folder())

    def candidates(self, size: Size, stopping: CancelToken | None = None) -> Iterator[Candidate]:
        """For network inputs of ``size``, in the order to try them; a later one is built only if it is asked for.

        Raises Cancelled at the next step of a build when that is set.
        """
        for precisions in in_turn(self._settings):
            engine = self._found(size, precisions)
            if engine is None and self._build:
                engine = self._built(size, precisions, stopping or CancelToken())
            if engine is not None:
                yield self.candidate(engine)

    def candidate(self, engine: StoredEngine) -> Candidate:
        """``engine`` with what its verdict belongs to."""
        card = {"gpu": device_name(self._device), "driver": api.driver_version()}
        made_from = {**self._source, "engine file": engine.sha256, **card}
        precision = engine.recipe.precision
        claimed: Precision = "fp16" if precision == "fp16" else "mixed" if precision == "mixed" else "fp32"
        return Candidate(engine.path.name, lambda: self._opened(engine), claimed, engine.verdict_path, made_from)

    def order(self, size: Size, precision: Precision) -> BuildRequest:
        most = self._settings.max_batch
        outputs = outputs_of(self._model.name)
        return BuildRequest(self._model.name, self._source, Profile(size, most, most), precision, outputs=outputs)

    def _found(self, size: Size, precisions: tuple[Precision, ...]) -> StoredEngine | None:
        orders = (self.order(size, precision) for precision in precisions)
        found = (request.serving(order, self._store, self._trt, self._gpu) for order in orders)
        return next((engine for engine in found if engine is not None), None)

    def _built(self, size: Size, precisions: tuple[Precision, ...], stopping: CancelToken) -> StoredEngine | None:
        """None, with a line in the log, where it cannot be."""
        name = f"{self._trt} engine of {self._model.name} at {size}, {'half' if precisions == HALF else 'fp32'}"
        log.info("building the %s, which may take minutes: there is none in %s", name, self._store.folder)
        network = network_of(self._model, self._settings)
        order = self.order(size, half_of(network) if precisions == HALF else "fp32")
        try:
            made = request.make(order, network, self._store, self._trt, self._gpu, _stoppable(logged(name), stopping))
        except (EngineError, OSError) as error:
            log.warning("the %s is not built: %s", name, error)
            return None
        log.info("built the %s in %.0f s: %s", name, made.build_s, made.path)
        return made

    def _opened(self, engine: StoredEngine) -> TensorRTEngine:
        plan, recipe = engine.read(), engine.recipe
        if plan is None:
            raise EngineError(f"{engine.path} is damaged; build it again (depthstream models build --rebuild)")
        profile = Profile(recipe.size, recipe.max_batch, recipe.best_batch)
        cache = engine.runtime_cache_path
        return TensorRTEngine(self._trt, plan, profile, recipe.network, device=str(self._device), runtime_cache=cache)


def _stoppable(progress: Progress, stopping: CancelToken) -> Progress:
    """What it raises ends the build."""

    def told(step: int, total: int, phase: str) -> None:
        stopping.check()
        progress(step, total, phase)

    return told
