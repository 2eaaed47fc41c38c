"""The values that travel through the pipeline: frozen, each field with its shape, dtype and unit.

Those with arrays are equal to themselves only, and printed without them. Outside a model images are BGR; RGB exists
only inside a network's input tensor. Everything that travels knows the ``frames`` it was made from, so that edges and
stages can account for every one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.core.clock import Stamp
from stream.errors import ImageError

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16384
"""JPEG, H.264 and the wire's header end at 16 bits or before."""


def check_image(image: Image, name: str = "the image") -> None:
    """Raise ImageError unless ``image`` is (H, W, 3) uint8 with sides of 8 to 16384 pixels."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        hint = ": cv2.imread gives None for a file that it cannot read" if image is None else ""
        raise ImageError(f"{name}: must be a uint8 array (H, W, 3) in BGR order, got {got}{hint}")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise ImageError(f"{name}: {width}x{height} px is too small: sides of at least {MIN_SIDE_PX} px are needed")
    if max(height, width) > MAX_SIDE_PX:
        raise ImageError(f"{name}: {width}x{height} px is too large: scale it down to {MAX_SIDE_PX} px a side first")


Image: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

Kind: TypeAlias = Literal["metric", "relative_inverse", "relative"]
"""metric: metres. relative_inverse: larger is nearer, scale and shift unknown. relative: larger is farther."""

Unit: TypeAlias = Literal["m", "none"]
Integrity: TypeAlias = Literal["clean", "tainted", "frozen", "black"]


class Size(NamedTuple):
    """An image's size in pixels, height first as in array shapes."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A pinhole camera without distortion, pixels; the centre of the top left pixel is (0, 0) (OpenCV, ROS REP 104)."""

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    size: Size
    """The image size these numbers belong to."""
    calibrated: bool = False
    """Measured with this camera, not taken from a data sheet."""

    @classmethod
    def of_view(cls, fov_deg: float, size: Size) -> Self:
        """Square pixels, the axis in the middle, ``fov_deg`` degrees from the left edge to the right one."""
        focal_px = 0.5 * size.width / math.tan(0.5 * math.radians(fov_deg))
        return cls(focal_px, focal_px, 0.5 * (size.width - 1), 0.5 * (size.height - 1), size)

    def scaled_to(self, size: Size) -> Intrinsics:
        """Of the same camera's images when they are resized; pixel edges, not centres, keep their places."""
        x, y = size.width / self.size.width, size.height / self.size.height
        centre = ((self.cx_px + 0.5) * x - 0.5, (self.cy_px + 0.5) * y - 0.5)
        return Intrinsics(self.fx_px * x, self.fy_px * y, *centre, size, self.calibrated)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of one camera."""

    image: Image = field(repr=False)
    """(H, W, 3) uint8 BGR, read-only."""
    camera: str
    """The camera's name in the settings."""
    seq: int
    """Counts the camera's frames from 0."""
    stamp: Stamp
    intrinsics: Intrinsics | None = None
    truth: Floats | None = field(default=None, repr=False)
    """(H, W) float32, metres along the optical axis, +inf for sky; only from cameras whose depth is known."""
    integrity: Integrity = "clean"

    @property
    def size(self) -> Size:
        return Size(*self.image.shape[:2])

    @property
    def frames(self) -> tuple[Frame, ...]:
        return (self,)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Network input for one or more frames of one network size."""

    pixels: Any = field(repr=False)
    """(N, 3, h, w) float32 normalised RGB: numpy on the CPU (its memory may be NHWC), a torch tensor on a GPU."""
    frames: tuple[Frame, ...]
    """The N frames, in the order of ``pixels``."""
    made_by: object = field(default=None, repr=False)
    """The estimator that made it, and that alone can take it."""


class OnDevice(Protocol):
    """Depth that is on a GPU as well: it can be painted there."""

    @property
    def depth(self) -> Floats:
        """The same numbers on the host; a depth map with others has no use for it."""
        ...

    def paint(self, low: float, high: float, colormap: str) -> Image:
        """(H, W, 3) uint8 BGR, as ``stream.render.colormap.paint``. Raises EngineError where the device fails."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """The depth of one frame at the camera's size, together with what its numbers mean."""

    depth: Floats = field(repr=False)
    """(H, W) float32: metres if ``kind`` is metric, else without unit; NaN where unknown."""
    kind: Kind
    """Relative depth must never be taken for metres: the kind travels with the data."""
    frame: Frame = field(repr=False)
    model: str
    """Name of the network."""
    weights: Literal["trained", "random"] = "trained"
    """random: the numbers mean nothing; made for speed tests only."""
    scale_guessed: bool = False
    """Metres by a guess: the camera's focal length is not known, or the network does not heed it."""
    raw: Floats | None = field(default=None, repr=False)
    """(H, W) float32: what the network said before ``depth`` was steadied; None: ``depth`` is that."""
    on_device: OnDevice | None = field(default=None, repr=False)
    """Where ``depth`` was made, if it still is there too."""

    @property
    def unit(self) -> Unit:
        return "m" if self.kind == "metric" else "none"

    @property
    def size(self) -> Size:
        return Size(*self.depth.shape)

    @property
    def frames(self) -> tuple[Frame, ...]:
        return (self.frame,)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An image made to be looked at, and the depth it shows."""

    image: Image = field(repr=False)
    """(H', W', 3) uint8 BGR."""
    depth_map: DepthMap
    low: float
    """The depth painted with the first colour (same unit as the depth map)."""
    high: float
    """The depth painted with the last colour."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        return self.depth_map.frames


@dataclass(frozen=True, slots=True)
class Dropped:
    """Yielded by a stage instead of a result: these frames go no further. The worker counts them under ``reason``."""

    frames: tuple[Frame, ...]
    reason: str


def frames_of(item: object) -> tuple[Frame, ...]:
    """The frames that ``item`` carries; empty for anything that is not one of this module's values."""
    frames = getattr(item, "frames", ())
    return frames if isinstance(frames, tuple) else ()
