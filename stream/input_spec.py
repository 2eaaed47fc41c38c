"""What a network wants of a picture, as plain numbers; preprocessing obeys it, models state it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["nearest", "linear", "cubic", "area"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""RGB, on a 0..1 scale (torchvision's reference values)."""
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a picture becomes a network's input: ``(value / 255 - mean) / std`` of the resized RGB picture."""

    side: int
    """The square the resized picture is fitted into (``upper``) or around (``lower``), network pixels."""
    bound: Literal["upper", "lower"]
    """upper: neither side exceeds ``side`` (MiDaS). lower: neither side falls below it (Depth Anything)."""
    multiple: int
    """Both sides are multiples of this many pixels, rounded half to even."""
    mean: tuple[float, float, float]
    """RGB, on a 0..1 scale."""
    std: tuple[float, float, float]
    """RGB, on a 0..1 scale."""
    resize: Interpolation = "cubic"
    """Camera picture to network input."""
    restore: Interpolation = "cubic"
    """Network output back to the camera's size."""
    keep_aspect: bool = True
    """False: every picture becomes ``side`` x ``side``."""
