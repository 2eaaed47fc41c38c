"""Colour maps on the CPU: a table of 256 colours and one pass that looks them up."""

from __future__ import annotations

import math
from functools import cache
from typing import cast

import numpy as np

from stream.core.suggest import nearest
from stream.errors import UsageError
from stream.frames import Floats, Image

COLORMAPS = ("inferno", "turbo", "magma", "viridis", "gray")
UNKNOWN_BGR = (48, 48, 48)
"""Dark gray, the colour of unknown depth."""
MIDDLE = 128
"""Index into the table for a frame without a depth range."""
_FLAT = 1e-30
"""Ranges narrower than this count as flat, because 255 / range would overflow float32."""


@cache
def lut(name: str) -> Image:
    """The colours of a map, (256, 3) uint8 BGR, read-only. Raises UsageError for a name that is not in COLORMAPS."""
    import cv2

    if name not in COLORMAPS:
        raise UsageError(f'colormap "{name}" does not exist{nearest(name, COLORMAPS)}')
    ramp = np.arange(256, dtype=np.uint8)
    if name == "gray":
        colours = np.stack([ramp] * 3, axis=1)
    else:
        colours = cast(Image, cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))).reshape(256, 3)
    colours.flags.writeable = False
    return colours


def paint(depth: Floats, low: float, high: float, colours: Image) -> Image:
    """(H, W) float32 -> (H, W, 3) uint8 BGR: ``low`` gets the first of the (256, 3) colours, ``high`` the last.

    ``low`` may be the larger one, which makes near objects bright. Depth outside of the range, infinities included,
    gets the colour of the nearer end; NaN gets ``UNKNOWN_BGR``. An empty range paints all known depth in the middle
    colour.
    """
    import cv2

    span = high - low
    if not math.isfinite(span) or abs(span) < _FLAT:
        index = np.full(depth.shape, MIDDLE, np.uint8)
    else:
        # NaN passes through clip and gets an arbitrary level; those pixels are painted over below.
        offset = np.clip(depth, min(low, high), max(low, high))
        offset -= np.float32(low)  # before scaling: keeps the digits of a narrow range far from zero
        index = cast(Image, cv2.convertScaleAbs(offset, alpha=255.0 / span))
    image = cast(Image, cv2.applyColorMap(index, colours.reshape(256, 1, 3)))
    unknown = np.isnan(depth)
    if unknown.any():
        image[unknown] = UNKNOWN_BGR
    return image
