"""Which engine runs a network on a GPU, for each network size: TensorRT, then torch, each only behind the engine gate.

In the order in which they are tried: TensorRT in half precision, TensorRT in float32, torch in half (where that was
asked for), torch in float32. The last one is believed: it is the same code as the reference's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from stream.core.machine import probe
from stream.engines.base import Engine
from stream.engines.cuda_graph import CudaGraphEngine
from stream.engines.eager import EagerEngine, device_name, some_size
from stream.engines.gate.candidates import Candidate, first_accepted, judged
from stream.engines.per_size import EnginesBySize
from stream.engines.precision import half_of
from stream.engines.select import Choice, default_threads
from stream.engines.tensorrt import api
from stream.engines.tensorrt.store import StoredEngine
from stream.engines.torchscript import TorchScriptEngine
from stream.engines.wrappers import CancelToken, LazyEngine
from stream.errors import MissingPackage
from stream.frames import Size
from stream.inference.estimator import network_of
from stream.inference.tensorrt_engines import TensorRTEngines, source_of
from stream.models.base import DepthModel
from stream.models.cache import trace_folder
from stream.models.networks import code_version, outputs_of
from stream.settings import ModelSettings

log = logging.getLogger(__name__)


def open_on_gpu(model: DepthModel, settings: ModelSettings, choice: Choice, *, waits: bool = False) -> Engine:
    """The network on the first GPU; for each network size the engine that is right for it (``waits``: EnginesBySize).

    Raises WeightsError, MissingPackage and EngineError.
    """
    return GpuChain(model, settings, choice).opened(waits=waits)


def refusal_of(
    model: DepthModel, settings: ModelSettings, engine: StoredEngine, device: str = "cuda", folder: Path | None = None
) -> str | None:
    """Why the gate does not accept a TensorRT engine that was built; None: it does. Raises EngineError: none loads."""
    choice = Choice("tensorrt", 1, 1, f"judging {engine.path.name}")
    return GpuChain(model, settings, choice, device, folder).refusal_of(engine)


class GpuChain:
    """The engines of one network on one device."""

    def __init__(
        self,
        model: DepthModel,
        settings: ModelSettings,
        choice: Choice,
        device: str = "cuda",
        folder: Path | None = None,
    ) -> None:
        """``device``: with "cpu" it runs anywhere, for tests. ``folder``: of TensorRT's engines instead of the cache's.

        Raises WeightsError, and MissingPackage where TensorRT was chosen and is not installed.
        """
        self._model, self._settings, self._choice = model, settings, choice
        self._device = torch.device(device)
        self._source = source_of(model, settings.weights)
        self._half, self._single = LazyEngine(self._torch_in_half), LazyEngine(self._torch_in_single)
        self._uncaptured = LazyEngine(self._eager_in_single)
        self._tensorrt = self._tensorrt_engines(folder) if choice.engine == "tensorrt" else None

    def opened(self, *, waits: bool = False) -> Engine:
        log.info("%s", self._choice.reason)
        if self._settings.weights == "random":
            log.warning("%s runs with random weights: its depth means nothing, only its speed does", self._model.name)
        if self._tensorrt is None and self._choice.precision == "fp32" and self._plain:
            return self._single()  # for any size, and nothing is to be captured
        shared, most = (self._half, self._single), self._settings.max_batch
        given = (self._model.name, most, self.engine_for, self._uncaptured, shared, self._device)
        return EnginesBySize(*given, waits=waits)

    def engine_for(self, size: Size, stopping: CancelToken | None = None) -> Engine:
        """The first in the order that the gate accepts at network ``size``.

        Raises EngineError, and Cancelled as soon as it can when that is set.
        """
        stopping = stopping or CancelToken()
        reference = LazyEngine(self._reference)
        judge = None if self._settings.weights == "random" else reference
        try:
            candidates = self._candidates(size, stopping)
            found = first_accepted(candidates, judge, self._model.spec, size, self._device, stopping)
        finally:
            reference.close()
        return found or self._single()

    def refusal_of(self, engine: StoredEngine) -> str | None:
        """Why the gate does not accept a TensorRT engine; None: it does."""
        assert self._tensorrt is not None
        candidate, reference = self._tensorrt.candidate(engine), LazyEngine(self._reference)
        opened = candidate.open()
        try:
            return judged(candidate, opened, reference, self._model.spec, engine.recipe.size, self._device)
        finally:
            reference.close()
            opened.close()

    def _tensorrt_engines(self, folder: Path | None) -> TensorRTEngines | None:
        """They build what is missing only where they were asked for by name."""
        named, device = self._settings.engine == "tensorrt", str(self._device)
        try:
            return TensorRTEngines(self._model, self._settings, self._source, device, build=named, folder=folder)
        except MissingPackage as error:
            if named:
                raise
            log.warning("TensorRT is not used: %s", error)
            return None

    def _candidates(self, size: Size, stopping: CancelToken) -> Iterator[Candidate]:
        if self._tensorrt is not None:
            yield from self._tensorrt.candidates(size, stopping)
        if self._choice.precision == "fp16":
            yield self._torch_candidate(size)

    def _torch_candidate(self, size: Size) -> Candidate:
        name = f"{self._model.name}-torch-half-{size}-b{self._settings.max_batch}"
        made_from = {**self._source, "gpu": device_name(self._device), "driver": api.driver_version()}
        verdict = trace_folder() / f"{name}.verdict.json"
        return Candidate(f"{self._model.name} by torch", self._half, "mixed", verdict, made_from, shared=True)

    def _torch_in_half(self) -> Engine:
        network = network_of(self._model, self._settings)
        return self._by_torch(
            EagerEngine(
                self._model.name,
                lambda: network,
                device=self._device,
                precision=half_of(network),
                max_batch=self._settings.max_batch,
                some_size=some_size(self._model.spec),
                outputs=outputs_of(self._model.name),
            )
        )

    def _torch_in_single(self) -> Engine:
        eager = self._uncaptured()
        assert isinstance(eager, EagerEngine)
        return self._by_torch(eager)

    def _eager_in_single(self) -> Engine:
        return EagerEngine(
            self._model.name,
            lambda: network_of(self._model, self._settings),
            device=self._device,
            max_batch=self._settings.max_batch,
            outputs=outputs_of(self._model.name),
        )

    @property
    def _plain(self) -> bool:
        """Whether torch runs without CUDA graphs."""
        return self._choice.engine == "cuda" or self._device.type != "cuda"

    def _by_torch(self, eager: EagerEngine) -> Engine:
        """As CUDA graphs unless plain torch was asked for."""
        return eager if self._plain else CudaGraphEngine(eager)

    def _reference(self) -> Engine:
        """float32 on the CPU, as the estimator there runs it."""
        return TorchScriptEngine(
            self._model.name,
            lambda: network_of(self._model, self._settings),
            weights_key=self._source["weights"],
            code_version=code_version(self._model.name),
            cache=trace_folder(),
            threads=default_threads(probe().cores, self._model.parameters),
            outputs=outputs_of(self._model.name),
        )
