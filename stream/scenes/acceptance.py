"""Which random views are worth learning from."""

from __future__ import annotations

import torch
from torch import Tensor

EVERY = 7
"""Statistics are taken of one pixel in so many."""
FEWEST_SURFACES, SMALLEST_SURFACE, LARGEST_SURFACE = 4, 0.006, 0.72
"""A view shows at least four surfaces of 0.6% of the picture, and none takes more than 72%."""
DEPTH_RANGE = 1.35
"""The 98th percentile of inverse depth is at least so many times the 2nd."""
NEAREST_M = 1 / 12


def worth_keeping(depth: Tensor, ident: Tensor) -> Tensor:
    """Of (B, H, W) metres and surface numbers, as ``Pictures`` and ``Hits`` have them: which views to keep, (B,) bool.

    False for views blocked by one surface, without depth, or with something at the lens.
    """
    inverse = (1 / depth).flatten(1)[:, ::EVERY]
    low, high = torch.quantile(inverse, 0.02, dim=1), torch.quantile(inverse, 0.98, dim=1)
    number = ident.flatten(1)[:, ::EVERY] + 1  # sky is -1
    count = torch.zeros(len(number), int(number.max()) + 1, device=number.device)
    share = count.scatter_add_(1, number, torch.ones_like(inverse)) / number.shape[1]
    several = (share > SMALLEST_SURFACE).sum(1) >= FEWEST_SURFACES
    return (high > DEPTH_RANGE * low) & (inverse.amax(1) < 1 / NEAREST_M) & several & (share.amax(1) < LARGEST_SURFACE)
