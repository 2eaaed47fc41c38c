"""Find compatible TensorRT engines of a network in the store; build missing ones on request."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from stream.engines.eager import device_name
from stream.engines.gate.candidates import Candidate
from stream.engines.precision import Precision, half_precision_for
from stream.engines.tensorrt import api, request
from stream.engines.tensorrt.build import Profile
from stream.engines.tensorrt.engine import TensorRTEngine
from stream.engines.tensorrt.progress import Progress, log_progress
from stream.engines.tensorrt.request import BuildRequest
from stream.engines.tensorrt.store import EngineStore, StoredEngine
from stream.engines.wrappers import CancelToken
from stream.errors import EngineError
from stream.frames import Size
from stream.models.base import DepthModel
from stream.models.cache import cache_folder
from stream.models.loading import load_network
from stream.models.networks import outputs_of
from stream.settings import ModelSettings

log = logging.getLogger(__name__)

HALF: tuple[Precision, ...] = ("mixed", "fp16")
SINGLE: tuple[Precision, ...] = ("fp32",)


def engines_folder() -> Path:
    """Folder of the cache in which built engines are kept."""
    return cache_folder() / "engines"


def precision_order(settings: ModelSettings) -> tuple[tuple[Precision, ...], ...]:
    """Groups of precisions in the order of preference; one engine of each group is enough."""
    return (SINGLE,) if settings.precision in ("fp32", "bf16") else (HALF, SINGLE)


def any_built(model: DepthModel, settings: ModelSettings, folder: Path | None = None) -> bool:
    """Whether the store has engines that might serve these settings; cheap, and TensorRT is not imported."""
    precisions = [precision for group in precision_order(settings) for precision in group]
    recipes = (engine.recipe for engine in EngineStore(folder or engines_folder()).engines())
    return any(
        recipe.network == model.name and recipe.precision in precisions and recipe.max_batch >= settings.max_batch
        for recipe in recipes
    )


class TensorRTEngines:
    """TensorRT engines that may serve ``settings``, size by size."""

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
        """``build``: also build engines that are missing, which takes minutes. Raises MissingPackage."""
        self._model, self._settings, self._source, self._build = model, settings, source, build
        self._device = torch.device(device)
        self._trt, self._gpu = api.load(), api.current_gpu()
        self._store = EngineStore(folder or engines_folder())

    def candidates(self, size: Size, cancel: CancelToken | None = None) -> Iterator[Candidate]:
        """Engines for network inputs of ``size`` in the order of preference, each built when the iterator reaches it.

        Raises Cancelled at the next step of a build once ``cancel`` is set.
        """
        for precisions in precision_order(self._settings):
            engine = self._found(size, precisions)
            if engine is None and self._build:
                engine = self._built(size, precisions, cancel or CancelToken())
            if engine is not None:
                yield self.candidate(engine)

    def candidate(self, engine: StoredEngine) -> Candidate:
        """Make a gate candidate of ``engine``, with everything that its verdict depends on."""
        card = {"gpu": device_name(self._device), "driver": api.driver_version()}
        made_from = {**self._source, "engine file": engine.sha256, **card}
        precision = engine.recipe.precision
        claimed: Precision = "fp16" if precision == "fp16" else "mixed" if precision == "mixed" else "fp32"
        return Candidate(engine.path.name, lambda: self._opened(engine), claimed, engine.verdict_path, made_from)

    def build_request(self, size: Size, precision: Precision) -> BuildRequest:
        most = self._settings.max_batch
        outputs = outputs_of(self._model.name)
        return BuildRequest(self._model.name, self._source, Profile(size, most, most), precision, outputs=outputs)

    def _found(self, size: Size, precisions: tuple[Precision, ...]) -> StoredEngine | None:
        orders = (self.build_request(size, precision) for precision in precisions)
        found = (request.find_compatible(order, self._store, self._trt, self._gpu) for order in orders)
        return next((engine for engine in found if engine is not None), None)

    def _built(self, size: Size, precisions: tuple[Precision, ...], cancel: CancelToken) -> StoredEngine | None:
        """Build and store an engine; None, with one warning, where that fails."""
        name = f"{self._trt} engine of {self._model.name} at {size}, {'half' if precisions == HALF else 'fp32'}"
        log.info("building the %s, which may take minutes: there is none in %s", name, self._store.folder)
        network = load_network(self._model, self._settings.weights)
        order = self.build_request(size, half_precision_for(network) if precisions == HALF else "fp32")
        try:
            progress = _cancellable(log_progress(name), cancel)
            made = request.build_and_store(order, network, self._store, self._trt, self._gpu, progress)
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


def _cancellable(progress: Progress, cancel: CancelToken) -> Progress:
    """A progress callback that ends the build, by raising Cancelled, once ``cancel`` is set."""

    def report(step: int, total: int, phase: str) -> None:
        cancel.check()
        progress(step, total, phase)

    return report
