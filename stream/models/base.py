"""What we know of a depth network without loading torch: its input, what its numbers mean, where its weights are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from stream.frames import Floats, Intrinsics, Kind, Size
from stream.models.spec import Decoding, InputSpec


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
    must_accept: bool = False
    """The licence forbids some uses (commercial ones, say): fetched only by somebody who accepts it."""
    entry: str | None = None
    """The key in the file under which the named tensors are; None: the file holds nothing else."""
    extra_names: bool = False
    """The file may hold tensors that the network has not: its official loader ignores them, and so do we."""


class Trained(Protocol):
    """What has weights to fetch: a depth network, a segmenter. Its name is also that of its architecture."""

    @property
    def name(self) -> str: ...

    @property
    def weights(self) -> WeightsFile: ...


@dataclass(frozen=True, slots=True)
class Shot:
    """What decoding may know of the image that the network saw."""

    size: Size
    """The camera's image."""
    scale: float = 1.0
    """Network pixels per camera pixel."""
    intrinsics: Intrinsics | None = None
    """Of the camera's image; None: unknown."""
    scalars: Mapping[str, float] = field(default_factory=dict)
    """Further outputs of the network for this image, by name."""


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
    decoding: Callable[[Shot], Decoding]
    """How the network's output, at the camera's size already, becomes depth of ``kind``."""
    scale_from: Literal["nothing", "intrinsics", "training"] = "nothing"
    """What makes metres of the output. intrinsics: the camera's, and a guess without them. training: the cameras that
    the network was trained with, so that for any other it is a guess always. nothing: the depth is relative."""

    def decode(self, raw: Floats, shot: Shot) -> Floats:
        """Network output, at the camera's size already, (H, W) float32 -> depth (H, W) float32 of ``kind``."""
        return self.decoding(shot).decoded(raw)
