"""Colour maps in torch: ``colormap.paint`` on the device, so that only 8-bit images are downloaded."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from stream.render.colormap import MIDDLE, UNKNOWN_BGR, lut

CACHED_TABLES = 16
"""Colour tables kept on devices, by name and device."""
FLAT = 1e-30
"""Ranges narrower than this count as flat, as on the CPU."""


def paint(depth: Tensor, low: float, high: float, colours: Tensor) -> Tensor:
    """(..., H, W) float32 -> (..., H, W, 3) uint8 BGR on the same device, with the levels of ``colormap.paint``.

    ``colours`` is (256, 3) uint8 on the same device, see ``lut_on``. The call never synchronises with the device.
    """
    image = colours[_levels(depth, low, high).long()]
    return torch.where(depth.isnan()[..., None], _unknown(depth.device), image)


@lru_cache(maxsize=CACHED_TABLES)
def lut_on(name: str, device: torch.device) -> Tensor:
    """``colormap.lut`` of that name on the device. Raises UsageError for an unknown name."""
    return torch.from_numpy(lut(name).copy()).to(device)  # a copy, because torch warns of read-only arrays


@lru_cache(maxsize=CACHED_TABLES)
def _unknown(device: torch.device) -> Tensor:
    return torch.tensor(UNKNOWN_BGR, dtype=torch.uint8).to(device)  # cached: a copy for each frame would synchronise


def _levels(depth: Tensor, low: float, high: float) -> Tensor:
    """Indices into the colour table as float32 whole numbers, 0..255; arbitrary where depth is unknown."""
    span = high - low
    if not math.isfinite(span) or abs(span) < FLAT:
        return torch.full_like(depth, MIDDLE)
    offset = depth.clamp(min(low, high), max(low, high)).sub_(low)  # before scaling, as on the CPU
    # round_ takes halves to the even number, as OpenCV does. NaN must go: as an index it could be outside of the table.
    return offset.mul_(255.0 / span).abs_().round_().nan_to_num_(MIDDLE).clamp_(0, 255)
