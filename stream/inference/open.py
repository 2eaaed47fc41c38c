"""Choose the estimator for some settings on this machine: the engine, the device, and what takes over if it fails.

Without any pipeline:

model = open_model("tiny")
depth = model(cv2.imread("street.jpg"))
print(depth.kind, depth.unit, depth.depth.shape)
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from stream.core.config_file import parse
from stream.core.machine import Machine, probe
from stream.engines.select import Choice, select, usable_gpu
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.estimator import Estimator
from stream.inference.fallback import FallbackEstimator
from stream.models.base import DepthModel
from stream.models.catalog import find
from stream.settings import ModelSettings

CPU_PARAMETERS = 25_000_000
"""Largest network that falls back to itself on the CPU; larger ones are too slow there, and tiny takes over."""


def open_model(
    name: str = "tiny", *, weights: Literal["trained", "random"] = "trained", threads: int | None = None
) -> Estimator:
    """Load a network that is ready to be called with images.

    Raises UnknownModel for a name that does not exist, SettingsError for other values that cannot be, and WeightsError
    when its weights are not here or are damaged.
    """
    settings = parse(ModelSettings, {"name": name, "weights": weights, "threads": threads}, "open_model")
    return estimator_for(settings, waits=True).load()


def estimator_for(settings: ModelSettings, machine: Machine | None = None, *, waits: bool = False) -> Estimator:
    """Make the estimator that suits this machine; opens nothing.

    On a GPU a network on the CPU stands by as its fallback. On the CPU there is a fallback only if the settings name
    one. ``waits``: an image of a new shape waits for the best engine for it, instead of running at once on another.
    Files want that, so that all their depth comes from one engine. Raises UnknownModel and SettingsError.
    """
    model = find(settings.name)
    choice = choice_for(settings, machine)
    if choice.engine == "torchscript":
        first = CpuEstimator(settings)
        return FallbackEstimator(first, fallback_for(settings, settings.fallback)) if settings.fallback else first
    # Not at the top: it loads torch, which on the CPU must come after ``wait_without_spinning``.
    from stream.inference.device_estimator import DeviceEstimator
    from stream.inference.gpu_engines import open_on_gpu

    fallback = settings.fallback or (model.name if model.parameters <= CPU_PARAMETERS else "tiny")
    on_gpu = DeviceEstimator(settings, partial(open_on_gpu, waits=waits), choice=choice)
    return FallbackEstimator(on_gpu, fallback_for(settings, fallback), lenient=settings.engine == "auto")


def choice_for(settings: ModelSettings, machine: Machine | None = None) -> Choice:
    """Select what runs the network on this machine, and why. Raises UnknownModel and SettingsError."""
    model, here = find(settings.name), machine or probe()
    return select(here, settings, model.parameters, built=_has_engines(here, model, settings))


def fallback_for(settings: ModelSettings, name: str) -> Estimator:
    """The network ``name`` on the CPU, not loaded yet; with random weights only if it is the same network."""
    weights = settings.weights if name == settings.name else "trained"
    changes = {"name": name, "weights": weights, "engine": "torchscript", "fallback": None}
    # Another network may need another multiple, or take one size only.
    side = {"side": None} if name != settings.name else {}
    return CpuEstimator(settings.model_copy(update={**changes, **side}))


def _has_engines(machine: Machine, model: DepthModel, settings: ModelSettings) -> bool:
    """Whether the store has TensorRT engines for this machine; torch is imported only where a GPU can be used."""
    if not machine.tensorrt or usable_gpu(machine) is None:
        return False
    from stream.inference.tensorrt_engines import any_built

    return any_built(model, settings)
