"""Depth to colour on a device: what ``colormap.paint`` does, in torch, so that only 8-bit images come back."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from stream.render.colormap import MIDDLE, UNKNOWN_BGR, lut

KEPT = 16
"""Tables, by name and device."""
FLAT = 1e-30
"""Ranges narrower than this are flat, as on the CPU."""


def paint(depth: Tensor, low: float, high: float, colours: Tensor) -> Tensor:
    """(..., H, W) float32 -> (..., H, W, 3) uint8 BGR on the same device: the levels of ``colormap.paint``.

    ``colours``: (256, 3) uint8 there, see ``lut_on``. Nothing waits for the device.
    """
    image = colours[_levels(depth, low, high).long()]
    return torch.where(depth.isnan()[..., None], _unknown(depth.device), image)


@lru_cache(maxsize=KEPT)
def lut_on(name: str, device: torch.device) -> Tensor:
    """``colormap.lut`` of that name there. Raises UsageError."""
    return torch.from_numpy(lut(name).copy()).to(device)


@lru_cache(maxsize=KEPT)
def _unknown(device: torch.device) -> Tensor:
    return torch.tensor(UNKNOWN_BGR, dtype=torch.uint8).to(device)


def _levels(depth: Tensor, low: float, high: float) -> Tensor:
    """0..255 as float32, whole numbers; anything where depth is not known."""
    span = high - low
    if not math.isfinite(span) or abs(span) < FLAT:
        return torch.full_like(depth, MIDDLE)
    offset = depth.clamp(min(low, high), max(low, high)).sub_(low)  # before scaling, as on the CPU
    return offset.mul_(255.0 / span).abs_().round_().nan_to_num_(MIDDLE).clamp_(0, 255)
