"""The values that travel through the pipeline: frozen dataclasses whose fields state shape, dtype and unit.

Images are BGR everywhere; RGB exists only inside a network's input tensor. Values with arrays compare by identity and
print without them. Every value has ``frames``, the frames it was made from, so that channels and stages can account
for each of them.
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
"""JPEG, H.264 and the wire format's header hold sides of 16 bits or less."""

Image: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

NOT_DECODED: Image = np.zeros((1, 1, 3), np.uint8)
"""Stands for the pixels of a frame that is dropped without having been decoded."""
NOT_DECODED.flags.writeable = False

Kind: TypeAlias = Literal["metric", "relative_inverse", "relative"]
"""metric: metres. relative_inverse: larger is nearer, scale and shift unknown. relative: larger is farther, scale and
shift unknown."""

Unit: TypeAlias = Literal["m", "none"]
Integrity: TypeAlias = Literal["clean", "tainted", "frozen", "black"]
"""clean: as the camera sent it. tainted: damaged by packet loss. frozen: the same image for several seconds. black:
nothing but black."""


class Size(NamedTuple):
    """An image's size in pixels, height first as in array shapes.

    >>> str(Size(480, 640))
    '640x480'
    """

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A pinhole camera without distortion; the centre of the top left pixel is (0, 0) (OpenCV, ROS REP 104).

    >>> Intrinsics(500.0, 500.0, 319.5, 239.5, Size(480, 640)).scaled_to(Size(240, 320)).fx_px
    250.0
    """

    fx_px: float
    """Focal length along the image's rows, pixels."""
    fy_px: float
    """Focal length along the image's columns, pixels."""
    cx_px: float
    """Column of the optical axis, pixels."""
    cy_px: float
    """Row of the optical axis, pixels."""
    size: Size
    """The image size that these numbers belong to."""
    calibrated: bool = False
    """True if measured with this camera rather than derived from a field of view."""

    @classmethod
    def of_view(cls, fov_deg: float, size: Size) -> Self:
        """A camera with square pixels and a centred axis that sees ``fov_deg`` degrees from the left to the right edge.

        >>> round(Intrinsics.of_view(90.0, Size(480, 640)).fx_px)
        320
        """
        focal_px = 0.5 * size.width / math.tan(0.5 * math.radians(fov_deg))
        return cls(focal_px, focal_px, 0.5 * (size.width - 1), 0.5 * (size.height - 1), size)

    def scaled_to(self, size: Size) -> Intrinsics:
        """The intrinsics of the same images resized to ``size``."""
        x, y = size.width / self.size.width, size.height / self.size.height
        # Resizing keeps the edges of the image in place, not the pixel centres: hence the half pixel.
        centre = ((self.cx_px + 0.5) * x - 0.5, (self.cy_px + 0.5) * y - 0.5)
        return Intrinsics(self.fx_px * x, self.fy_px * y, *centre, size, self.calibrated)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of one camera.

    >>> Frame(np.zeros((480, 640, 3), np.uint8), camera="front", seq=0, stamp=Stamp.now()).size
    Size(height=480, width=640)
    """

    image: Image = field(repr=False)
    """(H, W, 3) uint8 BGR, read-only."""
    camera: str
    """The camera's name in the settings."""
    seq: int
    """Number of the frame, counted from 0 for each camera."""
    stamp: Stamp
    """Time of capture."""
    intrinsics: Intrinsics | None = None
    """The camera's lens; None where unknown. Metric networks need it for true metres."""
    ground_truth: Floats | None = field(default=None, repr=False)
    """(H, W) float32, metres along the optical axis, +inf for sky; None except for rendered scenes."""
    integrity: Integrity = "clean"
    """Result of the checks for damaged, frozen and black images."""

    @property
    def size(self) -> Size:
        """Size of ``image``."""
        return Size(*self.image.shape[:2])

    @property
    def frames(self) -> tuple[Frame, ...]:
        """This frame."""
        return (self,)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Network input made from one or more frames that share a network size.

    ``Estimator.batches`` makes it and ``Estimator.estimate`` takes it; it is not made by hand.
    """

    pixels: Any = field(repr=False)
    """(N, 3, h, w) float32 normalised RGB: numpy on the CPU (its memory may be NHWC), a torch tensor on a GPU."""
    frames: tuple[Frame, ...]
    """The N frames, in the order of ``pixels``."""
    made_by: object = field(default=None, repr=False)
    """The estimator that made the batch; no other one can run it."""


class OnDevice(Protocol):
    """A depth map's copy on the GPU, where it can be painted without an upload."""

    @property
    def depth(self) -> Floats:
        """(H, W) float32, the same depth on the host. The copy is valid only for a depth map with this very array."""
        ...

    def paint(self, low: float, high: float, colormap: str) -> Image:
        """(H, W, 3) uint8 BGR, as ``stream.render.colormap.paint`` makes it. Raises EngineError if the GPU fails."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """The depth of one frame at the camera's size, together with the meaning of its numbers.

    >>> frame = Frame(np.zeros((480, 640, 3), np.uint8), camera="front", seq=0, stamp=Stamp.now())
    >>> depth_map = DepthMap(np.ones((480, 640), np.float32), "metric", frame, model="metric3d_s")
    >>> depth_map.unit, depth_map.size
    ('m', Size(height=480, width=640))
    """

    depth: Floats = field(repr=False)
    """(H, W) float32: metres if ``kind`` is "metric", else without a unit; NaN where unknown."""
    kind: Kind
    """Meaning of the numbers; it travels with them so that relative depth is never taken for metres."""
    frame: Frame = field(repr=False)
    """The frame that was estimated."""
    model: str
    """Name of the network."""
    weights: Literal["trained", "random"] = "trained"
    """Source of the weights; "random" is for speed tests only and its numbers mean nothing."""
    scale_guessed: bool = False
    """True if the metres are a guess: the focal length is unknown, or the network ignores it."""
    raw: Floats | None = field(default=None, repr=False)
    """(H, W) float32, the network's output before temporal stabilisation; None if ``depth`` is that output."""
    on_device: OnDevice | None = field(default=None, repr=False)
    """The copy of ``depth`` on the GPU; None if there is no such copy."""

    @property
    def unit(self) -> Unit:
        """Unit of ``depth``: "m" for metric depth, else "none"."""
        return "m" if self.kind == "metric" else "none"

    @property
    def size(self) -> Size:
        """Size of ``depth``, which is the size of the camera's image."""
        return Size(*self.depth.shape)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frame that was estimated."""
        return (self.frame,)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A depth map painted for people."""

    image: Image = field(repr=False)
    """(H', W', 3) uint8 BGR; may be larger than the depth map, for example with the camera's image next to it."""
    depth_map: DepthMap
    """The depth that the image shows."""
    low: float
    """The depth that has the first colour, in the depth map's unit."""
    high: float
    """The depth that has the last colour, in the depth map's unit."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frame that was estimated."""
        return self.depth_map.frames


@dataclass(frozen=True, slots=True)
class Dropped:
    """Yielded by a stage instead of a result: these frames go no further. The worker counts them under ``reason``.

    >>> frame = Frame(np.zeros((480, 640, 3), np.uint8), camera="front", seq=7, stamp=Stamp.now())
    >>> Dropped((frame,), "too old").frames[0].seq
    7
    """

    frames: tuple[Frame, ...]
    reason: str
    """A few words, such as "too old"; part of the statistics."""


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


def frames_of(item: object) -> tuple[Frame, ...]:
    """The frames that ``item`` carries; empty for anything that is not one of this module's values."""
    frames = getattr(item, "frames", ())
    return frames if isinstance(frames, tuple) else ()
