"""What a network wants of an image, as plain numbers; preprocessing obeys it, models state it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stream.frames import Floats, Size


@dataclass(frozen=True, slots=True)
class Decoding:
    """Of one image. In this order; NaN stays NaN. On a device: ``stream.preprocess.gpu.decoded_``."""

    gain: float = 1.0
    low: float | None = None
    """Smaller values become this one."""
    high: float | None = None
    """Larger values become this one."""
    reciprocal: bool = False
    """At last, 1 / value."""

    def decoded(self, raw: Floats) -> Floats:
        """Depth of the network's numbers, both (H, W) float32; ``raw`` itself where there is nothing to do."""
        depth = raw if self.gain == 1.0 else np.multiply(raw, np.float32(self.gain), dtype=np.float32)
        for limit, bound in ((np.maximum, self.low), (np.minimum, self.high)):
            if bound is not None:
                depth = limit(depth, np.float32(bound), out=None if depth is raw else depth)
        if self.reciprocal:
            depth = np.reciprocal(depth, out=None if depth is raw else depth)
        return depth


Interpolation = Literal["nearest", "linear", "cubic", "area", "triangle", "linear_corners"]
"""OpenCV's names for OpenCV's filters. triangle: PIL's BILINEAR, which widens its filter when it shrinks (torchvision's
``antialias=True``). linear_corners: the outermost pixel centres keep their places (torch's ``align_corners=True``)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""RGB, on a 0..1 scale (torchvision's reference values)."""
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A network input of one size for all images, which lie somewhere in it."""

    size: Size
    """Images are fitted into it; takes the place of ``InputSpec.side`` and ``bound``."""
    at: Literal["centre", "top_left"]
    """Where the image lies; centre: where a side is odd, the smaller half comes first."""
    rounding: Literal["down", "half_up"]
    """Of the image's scaled sides to whole pixels."""
    border: tuple[float, float, float]
    """RGB, 0..255: the colour around the image, normalised as the image is."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How an image becomes a network's input: ``(value / 255 - mean) / std`` of the resized RGB image."""

    side: int
    """The square the resized image is fitted into (``upper``) or around (``lower``), network pixels."""
    bound: Literal["upper", "lower"]
    """upper: neither side exceeds ``side`` (MiDaS). lower: neither side falls below it (Depth Anything)."""
    multiple: int
    """Both sides of the network's input are multiples of this many pixels, rounded half to even."""
    mean: tuple[float, float, float]
    """RGB, on a 0..1 scale."""
    std: tuple[float, float, float]
    """RGB, on a 0..1 scale."""
    resize: Interpolation = "cubic"
    """Camera image to network input."""
    restore: Interpolation = "cubic"
    """Network output back to the camera's size."""
    keep_aspect: bool = True
    """False: every image becomes ``side`` x ``side``."""
    canvas: Canvas | None = None
    """None: the network takes images of any size (in multiples)."""
    whole_values: bool = False
    """The resized image is rounded to 8 bits before it is normalised, as official code does that resizes bytes."""
    fixed: bool = False
    """The network takes no other size than this."""
