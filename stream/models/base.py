"""What we know of a depth network without loading torch: its input, what its numbers mean, where its weights are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stream.frames import Floats, Kind
from stream.input_spec import InputSpec


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of trained parameters."""

    filename: str
    """Name in the cache folder, or in the package if there is no ``url``."""
    url: str | None
    """Where to fetch it; None: it comes with the package."""
    size_bytes: int | None
    """None: not known."""
    sha256: str | None
    """64 hexadecimal digits; None: not known, then only a strict load checks the file."""
    licence: str
    """Of the weights, which may differ from the code's (SPDX name where there is one)."""
    source: str
    """Who made them and from what, in one sentence."""


@dataclass(frozen=True, slots=True)
class DepthModel:
    """One depth network: a plain value, so that listing all of them costs nothing."""

    name: str
    """Also the name of its architecture in ``stream.models.networks``."""
    title: str
    kind: Kind
    """What the decoded numbers mean."""
    spec: InputSpec
    """What the network wants to be fed."""
    parameters: int
    """Number of trained values."""
    licence: str
    """Of the network's code (SPDX)."""
    weights: WeightsFile
    decode: Callable[[Floats], Floats]
    """Network output, at the camera's size already, (H, W) float32 -> depth (H, W) float32 of ``kind``."""
