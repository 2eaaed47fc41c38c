"""A network's input and output conventions as plain numbers: models declare them, preprocessing follows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stream.frames import Floats, Size

Interpolation = Literal["nearest", "linear", "cubic", "area", "triangle", "linear_corners"]
"""OpenCV's names for OpenCV's filters. triangle: PIL's BILINEAR, which widens its filter when it shrinks (torchvision's
``antialias=True``). linear_corners: the outermost pixel centres keep their places (torch's ``align_corners=True``)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""RGB, on a 0..1 scale (torchvision's reference values)."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""RGB, on a 0..1 scale (torchvision's reference values)."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How an image becomes a network's input: ``(value / 255 - mean) / std`` of the resized RGB image."""

    side: int
    """Side of the square that the resized image is fitted into (``upper``) or around (``lower``), network pixels."""
    bound: Literal["upper", "lower"]
    """upper: neither side exceeds ``side`` (MiDaS). lower: neither side falls below it (Depth Anything)."""
    multiple: int
    """Both sides of the network's input are multiples of this many pixels, rounded half to even."""
    mean: tuple[float, float, float]
    """RGB, on a 0..1 scale."""
    std: tuple[float, float, float]
    """RGB, on a 0..1 scale."""
    resize: Interpolation = "cubic"
    """Filter from the camera's image to the network's input."""
    restore: Interpolation = "cubic"
    """Filter from the network's output back to the camera's size."""
    keep_aspect: bool = True
    """False: every image becomes ``side`` x ``side``."""
    canvas: Canvas | None = None
    """None: the network takes images of any size (in multiples)."""
    round_to_bytes: bool = False
    """Round the resized image to 8 bits before it is normalised, as official code does that resizes bytes."""
    fixed_size: bool = False
    """The network takes no other size than this."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A network input of one size for all images, each of which covers a part of it."""

    size: Size
    """Images are fitted into it; it takes the place of ``InputSpec.side`` and ``bound``. Network pixels."""
    anchor: Literal["centre", "top_left"]
    """Where the image lies. centre: where the margin is odd, the smaller half comes first."""
    rounding: Literal["down", "half_up"]
    """How the image's scaled sides are rounded to whole pixels."""
    border: tuple[float, float, float]
    """RGB, 0..255: the colour around the image, normalised as the image is."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """Turns one image's network output into depth, in field order: gain, clamp, reciprocal. NaN is preserved.

    ``stream.preprocess.gpu.decoded_`` does the same on a device.
    """

    gain: float = 1.0
    low: float | None = None
    """Smaller values become this one; None: no limit."""
    high: float | None = None
    """Larger values become this one; None: no limit."""
    reciprocal: bool = False
    """Finally take 1 / value."""

    def apply(self, raw: Floats) -> Floats:
        """Depth from the network's output, both (H, W) float32; returns ``raw`` itself where nothing is to be done."""
        depth = raw if self.gain == 1.0 else np.multiply(raw, np.float32(self.gain), dtype=np.float32)
        # ``raw`` is the caller's: the first operation makes a copy, and the later ones work in place
        for limit, bound in ((np.maximum, self.low), (np.minimum, self.high)):
            if bound is not None:
                depth = limit(depth, np.float32(bound), out=None if depth is raw else depth)
        if self.reciprocal:
            depth = np.reciprocal(depth, out=None if depth is raw else depth)
        return depth
