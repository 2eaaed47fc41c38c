"""Blur: a lens that is not sharp, and one that is sharp at one distance only."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

WIDTHS_PX = (0.0, 0.6, 1.2, 2.4, 4.8)
"""Standard deviations of the blurred copies between which a pixel's blur is interpolated."""


def out_of_focus_px(depth: Tensor, focus_m: Tensor, aperture: Tensor) -> Tensor:
    """(B, H, W): standard deviation of the blur; depth (B, H, W) metres, +inf allowed; focus and aperture (B,).

    A thin lens spreads a point over a disc that grows with ``|1 / depth - 1 / focus|``; ``aperture`` is the factor,
    pixels times metres.
    """
    return aperture[:, None, None] * (1 / depth - 1 / focus_m[:, None, None]).abs()


def blurred(image: Tensor, width_px: Tensor) -> Tensor:
    """(B, C, H, W) blurred at each pixel by ``width_px`` (B, H, W or 1, 1), at most 4.8.

    Each pixel gathers: a sharp edge in front of a soft ground glows a little, which a real lens would not let it.
    """
    place = _place(width_px.clamp(0, WIDTHS_PX[-1]))
    result = torch.zeros_like(image)
    for number, width in enumerate(WIDTHS_PX):
        share = (1 - (place - number).abs()).clamp_min(0)[:, None]
        if bool((share > 0).any()):
            result = result + share * _gaussian(image, width)
    return result


def _place(width_px: Tensor) -> Tensor:
    """Where a width lies among WIDTHS_PX: 1.5 is halfway between the second and the third."""
    steps = [((width_px - low) / (high - low)).clamp(0, 1) for low, high in pairwise(WIDTHS_PX)]
    return torch.stack(steps).sum(0)


def _gaussian(image: Tensor, width_px: float) -> Tensor:
    """Along rows, then columns; edges are repeated."""
    if width_px == 0:
        return image
    reach, channels = int(3 * width_px + 0.5), image.shape[1]
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=image.device)
    weights = torch.exp(-0.5 * (offsets / width_px) ** 2)
    row = (weights / weights.sum()).view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    padded = pad(image, (reach, reach, reach, reach), mode="replicate")
    return conv2d(conv2d(padded, row, groups=channels), row.transpose(2, 3), groups=channels)
