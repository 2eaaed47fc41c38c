"""Which size a network sees: the official ``Resize`` rule, as pure arithmetic.

Source of the rule: isl-org/MiDaS midas/transforms.py, used unchanged by Depth Anything. Sides are rounded half to even
(``np.round``), so that 1280x720 becomes 256x128 for MiDaS_small and not 256x160.
"""

from __future__ import annotations

import math

from stream.frames import Size
from stream.input_spec import InputSpec


def network_size(camera: Size, spec: InputSpec) -> Size:
    """The size a ``camera`` picture is resized to; both sides are multiples of ``spec.multiple``, at least one.

    ``upper``: fitted into ``spec.side`` x ``spec.side``; ``lower``: around it. The official rule makes a side of 0 of
    pictures more than 16 times as long as high (MiDaS_small); here it stays one multiple.
    """
    height_scale, width_scale = spec.side / camera.height, spec.side / camera.width
    if spec.keep_aspect:
        pick = min if spec.bound == "upper" else max
        height_scale = width_scale = pick(height_scale, width_scale)
    return Size(_fitted(height_scale * camera.height, spec), _fitted(width_scale * camera.width, spec))


def _fitted(side_px: float, spec: InputSpec) -> int:
    steps = side_px / spec.multiple
    fitted = round(steps) * spec.multiple
    if spec.bound == "upper" and fitted > spec.side:
        fitted = math.floor(steps) * spec.multiple
    if spec.bound == "lower" and fitted < spec.side:
        fitted = math.ceil(steps) * spec.multiple
    return max(fitted, spec.multiple)
