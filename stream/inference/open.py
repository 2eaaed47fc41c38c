"""The estimator for some settings on this machine: which engine, on which device, and what takes over if it fails.

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
from stream.inference.estimator import Estimator
from stream.inference.fallback import FallbackEstimator
from stream.models.base import DepthModel
from stream.models.catalog import find
from stream.settings import ModelSettings

CPU_PARAMETERS = 25_000_000
"""A larger network is no spare for a CPU: tiny is."""


def open_model(
    name: str = "tiny", *, weights: Literal["trained", "random"] = "trained", threads: int | None = None
) -> Estimator:
    """A loaded network, ready to be called with images.

    Raises UnknownModel for a name that does not exist, SettingsError for other values that cannot be, and WeightsError
    when its weights are not here or are damaged.
    """
    asked = {"name": name, "weights": weights, "threads": threads}
    return estimator_for(parse(ModelSettings, asked, "open_model"), waits=True).load()


def estimator_for(settings: ModelSettings, machine: Machine | None = None, *, waits: bool = False) -> Estimator:
    """On a GPU where there is one, guarded by a network on the CPU; on the CPU guarded where ``fallback`` names one.

    ``waits``: an image of a new shape waits for the engine that is right for it, instead of being run at once by
    another: for files, whose depth then comes from one engine. Opens nothing. Raises UnknownModel and SettingsError.
    """
    model = find(settings.name)
    choice = choice_for(settings, machine)
    if choice.engine == "torchscript":
        first: Estimator = Estimator(settings)
        return FallbackEstimator(first, spare_of(settings, settings.fallback)) if settings.fallback else first
    from stream.inference.device_estimator import DeviceEstimator
    from stream.inference.gpu_engines import open_on_gpu

    spare = settings.fallback or (model.name if model.parameters <= CPU_PARAMETERS else "tiny")
    first = DeviceEstimator(settings, partial(open_on_gpu, waits=waits), choice=choice)
    return FallbackEstimator(first, spare_of(settings, spare), lenient=settings.engine == "auto")


def choice_for(settings: ModelSettings, machine: Machine | None = None) -> Choice:
    """What runs the network here, and why. Raises UnknownModel and SettingsError."""
    model, here = find(settings.name), machine or probe()
    return select(here, settings, model.parameters, built=_has_engines(here, model, settings))


def spare_of(settings: ModelSettings, name: str) -> Estimator:
    """Another network on the CPU, not loaded yet; random weights only where the same network has them, too."""
    weights = settings.weights if name == settings.name else "trained"
    changes = {"name": name, "weights": weights, "engine": "torchscript", "fallback": None}
    side = {"side": None} if name != settings.name else {}
    return Estimator(settings.model_copy(update={**changes, **side}))


def _has_engines(machine: Machine, model: DepthModel, settings: ModelSettings) -> bool:
    """Whether TensorRT has something to run here; torch is only loaded where a GPU can be used."""
    if not machine.tensorrt or usable_gpu(machine) is None:
        return False
    from stream.inference.tensorrt_engines import any_built

    return any_built(model, settings)
