"""What is known about a model without loading torch: its input, the meaning of its output, and its weights file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from stream.frames import Floats, Intrinsics, Kind, Size
from stream.models.spec import Decoding, InputSpec


@dataclass(frozen=True, slots=True)
class DepthModel:
    """One depth network. It is a plain value, so listing all models costs nothing."""

    name: str
    """Also the name of its architecture in ``stream.models.networks``."""
    title: str
    kind: Kind
    """What the decoded numbers mean."""
    spec: InputSpec
    """How a camera image becomes the network's input."""
    parameters: int
    """Number of trained values."""
    licence: str
    """Licence of the network's code (SPDX)."""
    weights: WeightsFile
    decoding: Callable[[ImageContext], Decoding]
    """How the network's output, already resized to the camera's size, becomes depth of ``kind``."""
    scale_from: Literal["nothing", "intrinsics", "training"] = "nothing"
    """What makes the output metric. intrinsics: the camera's; without them the scale is a guess. training: the cameras
    that the network was trained with; for any other camera the scale is always a guess. nothing: the depth is
    relative."""

    def decode(self, raw: Floats, image: ImageContext) -> Floats:
        """Network output at the camera's size, (H, W) float32 -> depth (H, W) float32 of ``kind``."""
        return self.decoding(image).apply(raw)


@dataclass(frozen=True, slots=True)
class SegmenterModel:
    """One network that makes masks from boxes: a plain value as ``DepthModel`` is."""

    name: str
    """Also the name of its architecture in ``stream.models.networks``."""
    title: str
    spec: InputSpec
    """How a camera image becomes the image encoder's input."""
    box_frame: InputSpec
    """The coordinate frame of the decoder's boxes. Only its canvas and rounding count, not its treatment of pixels."""
    parameters: int
    """Number of trained values."""
    licence: str
    """Licence of the network's code (SPDX)."""
    weights: WeightsFile


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of trained parameters."""

    filename: str
    """Name in the cache folder, or in the package if there is no ``url``."""
    url: str | None
    """Download address; None: the file comes with the package."""
    size_bytes: int | None
    """None: not known."""
    sha256: str | None
    """64 hexadecimal digits; None: not known, so that only a strict load checks the file."""
    licence: str
    """Licence of the weights, which may differ from the code's (SPDX name where there is one)."""
    source: str
    """Who trained them and on what, in one sentence."""
    requires_acceptance: bool = False
    """The licence forbids some uses (commercial ones, say), so the user must accept it before the download."""
    entry: str | None = None
    """The key in the file under which the named tensors are; None: the file holds nothing else."""
    allows_extra_tensors: bool = False
    """The file may hold tensors that the network does not have: its official loader ignores them, and so do we."""


class HasWeights(Protocol):
    """A depth network or a segmenter: its weights can be downloaded, and its name is also that of its architecture."""

    @property
    def name(self) -> str: ...

    @property
    def weights(self) -> WeightsFile: ...


@dataclass(frozen=True, slots=True)
class ImageContext:
    """What decoding may use besides the depth output: facts about the image that the network was given."""

    size: Size
    """Size of the camera's image, pixels."""
    scale: float = 1.0
    """Network pixels per camera pixel."""
    intrinsics: Intrinsics | None = None
    """Intrinsics of the camera's image; None: unknown."""
    scalars: Mapping[str, float] = field(default_factory=dict)
    """The network's further outputs for this image, by name."""
