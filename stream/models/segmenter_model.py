"""What we know of a network that finds the pixels in a box, without loading torch."""

from __future__ import annotations

from dataclasses import dataclass

from stream.models.base import WeightsFile
from stream.models.spec import InputSpec


@dataclass(frozen=True, slots=True)
class SegmenterModel:
    """A network for boxes: a plain value as ``DepthModel`` is, but its output is masks and no depth."""

    name: str
    """Also the name of its architecture in ``stream.models.networks``."""
    title: str
    spec: InputSpec
    """What its encoder wants to be fed."""
    box_frame: InputSpec
    """Where boxes lie in what its decoder is told: the canvas and its rounding; of the pixels it says nothing."""
    parameters: int
    """Number of trained values."""
    licence: str
    """Of the network's code (SPDX)."""
    weights: WeightsFile
