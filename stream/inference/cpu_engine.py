"""TorchScript engines on the CPU: the fallback that always works, and the float32 reference of the engine gate."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from stream.engines.cpu_setup import keep_freed_memory, wait_without_spinning
from stream.engines.select import Choice
from stream.engines.wrappers import LazyEngine
from stream.inference.adaptation import adapted
from stream.models.base import DepthModel
from stream.models.cache import trace_folder
from stream.models.loading import load_network, provenance, warn_of_random_weights
from stream.models.networks import outputs_of
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream.engines.base import Engine

log = logging.getLogger(__name__)


def open_on_cpu(model: DepthModel, settings: ModelSettings, choice: Choice) -> Engine:
    """Open the engine that ``choice`` names for the CPU, with the model's weights; torch is imported here.

    bfloat16 is used only where the engine gate accepts it, else float32. Random weights are not judged: they mean
    nothing. Raises WeightsError and EngineError.
    """
    log.info("%s", choice.reason)
    warn_of_random_weights(model, settings.weights)
    made_from = provenance(model, settings.weights)
    # both must come before torch is imported, and apply to the whole process
    wait_without_spinning()
    keep_freed_memory()
    if choice.precision != "bf16":
        return torchscript(model, settings, choice.threads, made_from)
    if settings.weights == "random":
        return torchscript(model, settings, choice.threads, made_from, "bf16")
    return _bfloat16_or_float32(model, settings, choice.threads, made_from)


def torchscript(
    model: DepthModel,
    settings: ModelSettings,
    threads: int,
    made_from: Mapping[str, str],
    dtype: Literal["fp32", "bf16"] = "fp32",
    *,
    max_batch: int | None = None,
) -> Engine:
    """Make the TorchScript engine of ``model``; in float32 it is what every other engine is judged against.

    ``made_from`` (``models.loading.provenance``) names its traces on disk. ``max_batch`` defaults to the settings'.
    """
    from stream.engines.torchscript import TorchScriptEngine

    return TorchScriptEngine(
        model.name,
        lambda: load_network(model, settings.weights),
        weights_key=made_from["weights"],
        code_version=made_from["code"],
        cache=trace_folder(),
        threads=threads,
        max_batch=max_batch or settings.max_batch,
        dtype=dtype,
        outputs=outputs_of(model.name),
    )


def _bfloat16_or_float32(
    model: DepthModel, settings: ModelSettings, threads: int, made_from: Mapping[str, str]
) -> Engine:
    """bfloat16 if the gate accepts it, now or at an earlier start; the float32 reference otherwise."""
    from stream.engines.gate.candidates import Candidate, Inputs, first_accepted

    reference = LazyEngine(lambda: torchscript(model, settings, threads, made_from))
    candidate = Candidate(
        f"{model.name} in bfloat16",
        lambda: torchscript(model, settings, threads, made_from, "bf16"),
        "bf16",
        trace_folder() / f"{model.name}-bf16-{threads}.verdict.json",
        made_from,
    )
    accepted = first_accepted([candidate], reference, Inputs(adapted(model.spec, settings)))
    if accepted is None:
        return reference()
    reference.close()
    return accepted
