"""Boxes as Segment Anything's decoder wants them, and which boxes it cannot take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stream.errors import BoxError
from stream.frames import Floats, Size
from stream.models.spec import InputSpec
from stream.objects import Box
from stream.preprocess.geometry import placement


def framed(size: Size, frame: InputSpec) -> Size:
    """An image's size in the decoder's ``frame``."""
    return placement(size, frame).size


def in_frame(boxes: Sequence[Box], size: Size, frame: InputSpec) -> Floats:
    """(K, 4) float32: x0, y0, x1, y1 in the decoder's ``frame``, of boxes in an image of ``size``.

    The official rule scales by whole sizes, so that both directions may differ a little. Raises BoxError.
    """
    for box in boxes:
        _check(box, size)
    height, width = framed(size, frame)
    x, y = width / size.width, height / size.height
    corners = [(box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y) for box in boxes]
    return np.array(corners, np.float32).reshape(-1, 4)


def _check(box: Box, size: Size) -> None:
    """Raises BoxError unless some part of the box is in the image."""
    where = (box.x0, box.y0, box.x1, box.y1)
    if why := _unfit(where, size):
        raise BoxError(f"box {where} in an image of {size} px: {why}; leave it out, or correct it")


def _unfit(where: tuple[float, float, float, float], size: Size) -> str:
    x0, y0, x1, y1 = where
    if not all(math.isfinite(number) for number in where):
        return "it is not finite"
    if x1 <= x0 or y1 <= y0:
        return "it is empty, because x1 must be above x0 and y1 above y0"
    if x1 <= 0 or y1 <= 0 or x0 >= size.width or y0 >= size.height:
        return "it lies outside"
    return ""
