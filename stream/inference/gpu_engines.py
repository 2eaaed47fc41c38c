"""Select the engine of a network on a GPU, for each network size, behind the engine gate.

Order of preference: TensorRT in half precision, TensorRT in float32, torch in half precision (if the settings ask for
it), torch in float32. The last one is not judged: it runs the same code as the reference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from stream.core.machine import probe
from stream.engines.base import Engine
from stream.engines.cuda_graph import CudaGraphEngine
from stream.engines.eager import EagerEngine, device_name, example_size
from stream.engines.gate.candidates import Candidate, Inputs, first_accepted, why_refused
from stream.engines.per_size import EnginesBySize
from stream.engines.precision import half_precision_for
from stream.engines.select import Choice, default_threads
from stream.engines.tensorrt import api
from stream.engines.tensorrt.store import StoredEngine
from stream.engines.wrappers import CancelToken, LazyEngine
from stream.errors import MissingPackage
from stream.frames import Size
from stream.inference.cpu_engine import torchscript
from stream.inference.tensorrt_engines import TensorRTEngines
from stream.models.base import DepthModel
from stream.models.cache import trace_folder
from stream.models.loading import load_network, provenance, warn_of_random_weights
from stream.models.networks import outputs_of
from stream.settings import ModelSettings

log = logging.getLogger(__name__)


def open_on_gpu(model: DepthModel, settings: ModelSettings, choice: Choice, *, waits: bool = False) -> Engine:
    """Open the network on the first GPU, with the best engine for each network size.

    ``waits``: see ``EnginesBySize``. Raises WeightsError, MissingPackage and EngineError.
    """
    return GpuEngines(model, settings, choice).open(waits=waits)


def why_engine_refused(
    model: DepthModel, settings: ModelSettings, engine: StoredEngine, device: str = "cuda", folder: Path | None = None
) -> str | None:
    """Why the gate refuses a TensorRT engine that was built, in one line; None: it accepts it.

    Raises EngineError where the engine or the reference cannot be opened.
    """
    choice = Choice("tensorrt", 1, 1, f"judging {engine.path.name}")
    return GpuEngines(model, settings, choice, device, folder).why_refused(engine)


class GpuEngines:
    """The engines of one network on one device."""

    def __init__(
        self,
        model: DepthModel,
        settings: ModelSettings,
        choice: Choice,
        device: str = "cuda",
        folder: Path | None = None,
    ) -> None:
        """``device`` may be "cpu", for tests. ``folder`` replaces the cache's folder of TensorRT engines.

        Raises WeightsError, and MissingPackage where TensorRT was chosen and is not installed.
        """
        self._model, self._settings, self._choice = model, settings, choice
        self._device = torch.device(device)
        self._source = provenance(model, settings.weights)
        self._half, self._single = LazyEngine(self._torch_in_half), LazyEngine(self._torch_in_single)
        self._uncaptured = LazyEngine(self._eager_in_single)
        self._tensorrt = self._tensorrt_engines(folder) if choice.engine == "tensorrt" else None

    def open(self, *, waits: bool = False) -> Engine:
        """Open one engine that takes any size, or one for each size where they may differ."""
        log.info("%s", self._choice.reason)
        warn_of_random_weights(self._model, self._settings.weights)
        if self._tensorrt is None and self._choice.precision == "fp32" and self._plain:
            return self._single()  # takes any size, and no CUDA graph is captured for one
        shared = (self._half, self._single)
        return EnginesBySize(
            self._model.name,
            self._settings.max_batch,
            self.engine_for,
            self._uncaptured,  # takes a new size at once; for a capture images would have to wait
            shared,
            self._device,
            waits=waits,
        )

    def engine_for(self, size: Size, cancel: CancelToken | None = None) -> Engine:
        """Open the first engine, in the order of preference, that the gate accepts at network ``size``.

        Raises EngineError, and Cancelled soon after ``cancel`` is set.
        """
        cancel = cancel or CancelToken()
        reference = LazyEngine(self._reference)
        judge = None if self._settings.weights == "random" else reference
        try:
            candidates = self._candidates(size, cancel)
            found = first_accepted(candidates, judge, Inputs.at(size, self._model.spec, self._device), cancel)
        finally:
            reference.close()
        return found or self._single()

    def why_refused(self, engine: StoredEngine) -> str | None:
        """Why the gate refuses a TensorRT engine; None: it accepts it."""
        assert self._tensorrt is not None
        candidate, reference = self._tensorrt.candidate(engine), LazyEngine(self._reference)
        opened = candidate.open()
        try:
            inputs = Inputs.at(engine.recipe.size, self._model.spec, self._device)
            return why_refused(candidate, opened, reference, inputs)
        finally:
            reference.close()
            opened.close()

    def _tensorrt_engines(self, folder: Path | None) -> TensorRTEngines | None:
        # engine = "auto" never builds what is missing, since that takes minutes
        required, device = self._settings.engine == "tensorrt", str(self._device)
        try:
            return TensorRTEngines(self._model, self._settings, self._source, device, build=required, folder=folder)
        except MissingPackage as error:
            if required:
                raise
            log.warning("TensorRT is not used: %s", error)
            return None

    def _candidates(self, size: Size, cancel: CancelToken) -> Iterator[Candidate]:
        if self._tensorrt is not None:
            yield from self._tensorrt.candidates(size, cancel)
        if self._choice.precision == "fp16":
            yield self._torch_candidate(size)

    def _torch_candidate(self, size: Size) -> Candidate:
        name = f"{self._model.name}-torch-half-{size}-b{self._settings.max_batch}"
        made_from = {**self._source, "gpu": device_name(self._device), "driver": api.driver_version()}
        verdict = trace_folder() / f"{name}.verdict.json"
        return Candidate(f"{self._model.name} by torch", self._half, "mixed", verdict, made_from, shared=True)

    def _torch_in_half(self) -> Engine:
        network = load_network(self._model, self._settings.weights)
        return self._by_torch(
            EagerEngine(
                self._model.name,
                lambda: network,
                device=self._device,
                precision=half_precision_for(network),
                max_batch=self._settings.max_batch,
                example_size=example_size(self._model.spec),
                outputs=outputs_of(self._model.name),
            )
        )

    def _torch_in_single(self) -> Engine:
        # The fallback's network, so that the device holds its weights once.
        eager = self._uncaptured()
        assert isinstance(eager, EagerEngine)
        return self._by_torch(eager)

    def _eager_in_single(self) -> Engine:
        return EagerEngine(
            self._model.name,
            lambda: load_network(self._model, self._settings.weights),
            device=self._device,
            max_batch=self._settings.max_batch,
            outputs=outputs_of(self._model.name),
        )

    @property
    def _plain(self) -> bool:
        """Whether torch runs without CUDA graphs: by choice, or because there is no GPU."""
        return self._choice.engine == "cuda" or self._device.type != "cuda"

    def _by_torch(self, eager: EagerEngine) -> Engine:
        return eager if self._plain else CudaGraphEngine(eager)

    def _reference(self) -> Engine:
        """The float32 engine on the CPU, exactly as CpuEstimator runs it."""
        threads = default_threads(probe().cores, self._model.parameters)
        return torchscript(self._model, self._settings, threads, self._source, max_batch=1)
