"""Building a network with its weights: the same for depth networks and segmenters."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, TypeAlias

from stream.models.networks import build, code_version
from stream.models.weights import load_into, load_state, locate, random_state, sha256_of

if TYPE_CHECKING:
    from torch import nn

    from stream.models.base import DepthModel, SegmenterModel

log = logging.getLogger(__name__)

Weights: TypeAlias = Literal["trained", "random"]


def load_network(model: DepthModel | SegmenterModel, weights: Weights) -> nn.Module:
    """Build the network of ``model`` in eval mode and load its weights; torch is imported here.

    Random weights are the same in every process, so that speed can be measured without any download. Raises
    WeightsError where trained weights are missing or damaged.
    """
    network = build(model.name)
    load_into(network, random_state(model) if weights == "random" else load_state(model))
    return network


def warn_of_random_weights(model: DepthModel | SegmenterModel, weights: Weights, output: str = "depth") -> None:
    """Log that the network's ``output`` means nothing, if its ``weights`` are random."""
    if weights == "random":
        log.warning("%s runs with random weights: its %s means nothing, only its speed does", model.name, output)


def with_weights_note(description: str, weights: Weights) -> str:
    """Return ``description`` with a note that no reader can miss, if the ``weights`` are random."""
    return f"{description}; RANDOM WEIGHTS: speed only" if weights == "random" else description


def provenance(model: DepthModel | SegmenterModel, weights: Weights) -> dict[str, str]:
    """What decides the numbers that a network computes: the SHA-256 of its weights and the version of its code.

    Traces, compiled engines and verdicts are kept under it. Raises WeightsError where trained weights are missing.
    """
    digest = "random" if weights == "random" else sha256_of(locate(model))
    return {"weights": digest, "code": code_version(model.name)}
