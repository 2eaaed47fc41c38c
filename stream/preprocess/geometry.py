"""The size and position of a camera's image in a network's input, as pure arithmetic.

Without a canvas this is the official ``Resize`` rule of isl-org/MiDaS (midas/transforms.py), used unchanged by Depth
Anything: sides are rounded half to even (``np.round``), so that 1280x720 becomes 256x128 for MiDaS_small and not
256x160. With a canvas, the image keeps its shape and a border fills the rest (Metric3D, Segment Anything).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream.frames import Size
from stream.models.spec import Canvas, InputSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """Size and position of the resized image in the network's input."""

    canvas: Size
    """The network's input, pixels."""
    size: Size
    """The resized image, pixels."""
    top: int
    """First row of the image, pixels."""
    left: int
    """First column of the image, pixels."""
    scale: float
    """Network pixels per camera pixel, horizontally, before the sides were rounded."""

    @property
    def fills_canvas(self) -> bool:
        """True if there is no border."""
        return self.size == self.canvas

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.size.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.size.width)


def network_size(camera: Size, spec: InputSpec) -> Size:
    """The size of the network's input for a camera's image; both sides are positive multiples of ``spec.multiple``."""
    return placement(camera, spec).canvas


def placement(camera: Size, spec: InputSpec) -> Placement:
    """The placement of images of the size ``camera``.

    With the bound ``upper`` they are fitted into ``spec.side`` x ``spec.side``, with ``lower`` around it. The official
    rule gives images more than 16 times as long as high a side of 0 (MiDaS_small); here it is at least one multiple.
    """
    if spec.canvas is not None:
        return _on_canvas(camera, spec.canvas)
    height_scale, width_scale = spec.side / camera.height, spec.side / camera.width
    if spec.keep_aspect:
        pick = min if spec.bound == "upper" else max
        height_scale = width_scale = pick(height_scale, width_scale)
    size = Size(_fitted(height_scale * camera.height, spec), _fitted(width_scale * camera.width, spec))
    return Placement(size, size, 0, 0, width_scale)


def _on_canvas(camera: Size, canvas: Canvas) -> Placement:
    scale = min(canvas.size.height / camera.height, canvas.size.width / camera.width)
    half = 0.5 if canvas.rounding == "half_up" else 0.0
    height, width = (
        min(max(math.floor(side * scale + half), 1), limit) for side, limit in zip(camera, canvas.size, strict=True)
    )
    top, left = canvas.size.height - height, canvas.size.width - width
    if canvas.anchor == "top_left":
        top = left = 0
    return Placement(canvas.size, Size(height, width), top // 2, left // 2, scale)


def _fitted(side_px: float, spec: InputSpec) -> int:
    steps = side_px / spec.multiple
    fitted = round(steps) * spec.multiple  # half to even, as np.round
    # rounding may cross the bound: take the nearest multiple on its right side
    if spec.bound == "upper" and fitted > spec.side:
        fitted = math.floor(steps) * spec.multiple
    if spec.bound == "lower" and fitted < spec.side:
        fitted = math.ceil(steps) * spec.multiple
    return max(fitted, spec.multiple)
