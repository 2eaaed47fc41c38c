"""Where a camera's image lies in a network's input, as pure arithmetic.

Without a canvas this is the official ``Resize`` rule of isl-org/MiDaS (midas/transforms.py), used unchanged by Depth
Anything: sides are rounded half to even (``np.round``), so that 1280x720 becomes 256x128 for MiDaS_small and not
256x160. With one, the image keeps its shape and a border fills the rest (Metric3D, Segment Anything).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream.frames import Size
from stream.models.spec import Canvas, InputSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a resized image lies."""

    canvas: Size
    """The network's input."""
    size: Size
    """The resized image in it."""
    top: int
    left: int
    scale: float
    """Network pixels per camera pixel, horizontally, before sides were rounded."""

    @property
    def fills(self) -> bool:
        """Whether there is no border."""
        return self.size == self.canvas

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.size.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.size.width)


def network_size(camera: Size, spec: InputSpec) -> Size:
    """The network's input for a ``camera`` image; both sides are multiples of ``spec.multiple``, at least one."""
    return placement(camera, spec).canvas


def placement(camera: Size, spec: InputSpec) -> Placement:
    """Where images of the size ``camera`` lie.

    ``upper``: fitted into ``spec.side`` x ``spec.side``; ``lower``: around it. The official rule makes a side of 0 of
    images more than 16 times as long as high (MiDaS_small); here it stays one multiple.
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
    rest = 0.5 if canvas.rounding == "half_up" else 0.0
    height, width = (
        min(max(math.floor(side * scale + rest), 1), most) for side, most in zip(camera, canvas.size, strict=True)
    )
    top, left = canvas.size.height - height, canvas.size.width - width
    if canvas.at == "top_left":
        top = left = 0
    return Placement(canvas.size, Size(height, width), top // 2, left // 2, scale)


def _fitted(side_px: float, spec: InputSpec) -> int:
    steps = side_px / spec.multiple
    fitted = round(steps) * spec.multiple
    if spec.bound == "upper" and fitted > spec.side:
        fitted = math.floor(steps) * spec.multiple
    if spec.bound == "lower" and fitted < spec.side:
        fitted = math.ceil(steps) * spec.multiple
    return max(fitted, spec.multiple)
