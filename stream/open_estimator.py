"""The estimator for some settings on this machine: which engine, on which device, and what takes over if it fails.

Without any pipeline:

model = open_model("tiny")
depth = model(cv2.imread("street.jpg"))
print(depth.kind, depth.unit, depth.depth.shape)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from stream.engines.choose import Choice, choose
from stream.estimator import Estimator, network_of
from stream.guarded import GuardedEstimator
from stream.machine import Machine, probe
from stream.models.base import DepthModel
from stream.models.catalog import find
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.base import Engine

CPU_PARAMETERS = 25_000_000
"""A larger network is no spare for a CPU: tiny is."""


def open_model(
    name: str = "tiny", *, weights: Literal["trained", "random"] = "trained", threads: int | None = None
) -> Estimator:
    """A loaded network, ready to be called with pictures.

    Raises UnknownModel for a name that does not exist and WeightsError when its weights are not here or are damaged.
    """
    return estimator_for(ModelSettings(name=name, weights=weights, threads=threads)).load()


def estimator_for(settings: ModelSettings, machine: Machine | None = None) -> Estimator:
    """On a GPU where there is one, guarded by a network on the CPU; on the CPU guarded where ``fallback`` names one.

    Opens nothing. Raises UnknownModel and SettingsError.
    """
    model = find(settings.name)
    choice = choose(machine or probe(), settings, model.parameters)
    if choice.engine == "torchscript":
        first: Estimator = Estimator(settings)
        return GuardedEstimator(first, spare_of(settings, settings.fallback)) if settings.fallback else first
    from stream.device_estimator import DeviceEstimator

    spare = settings.fallback or (model.name if model.parameters <= CPU_PARAMETERS else "tiny")
    first = DeviceEstimator(settings, open_on_gpu, choice=choice)
    return GuardedEstimator(first, spare_of(settings, spare), lenient=settings.engine == "auto")


def spare_of(settings: ModelSettings, name: str) -> Estimator:
    """Another network on the CPU, not loaded yet; random weights only where the same network has them, too."""
    weights = settings.weights if name == settings.name else "trained"
    changes = {"name": name, "weights": weights, "engine": "torchscript", "fallback": None}
    side = {"side": None} if name != settings.name else {}
    return Estimator(settings.model_copy(update={**changes, **side}))


def open_on_gpu(model: DepthModel, settings: ModelSettings, choice: Choice) -> Engine:
    """The network on the first GPU. Raises WeightsError and EngineError; torch is loaded here."""
    import torch

    from stream.engines.eager import EagerEngine
    from stream.engines.graph import CudaGraphEngine

    eager = EagerEngine(
        model.name,
        lambda: network_of(model, settings),
        device=torch.device("cuda"),
        precision="fp16" if choice.precision == "fp16" else "fp32",
        max_batch=settings.max_batch,
    )
    return CudaGraphEngine(eager) if choice.engine == "cuda_graph" else eager
