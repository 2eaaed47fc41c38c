"""The decoder blocks that MiDaS and DPT share: they refine the features of one level, add them and double the size.

Attribute names like ``resConfUnit1`` are those of the official checkpoints (isl-org/MiDaS, midas/blocks.py).
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional


class Fusion(nn.Module):
    """Adds a level's refined features, refines the sum, upsamples it with corners aligned, and projects it.

    The result has twice the input's size, or ``size`` (h, w).
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(channels, out, 1)
        # The deepest level has nothing to add, so refinenet4's first unit (22% of all parameters in MiDaS small) is in
        # the checkpoint but never runs. Freezing a trace drops it.
        self.resConfUnit1 = ResidualConvUnit(channels)
        self.resConfUnit2 = ResidualConvUnit(channels)

    def forward(self, x: Tensor, level: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        if level is not None:
            x = x + self.resConfUnit1(level)
        x, factor = self.resConfUnit2(x), 2.0 if size is None else None
        x = functional.interpolate(x, size=size, scale_factor=factor, mode="bilinear", align_corners=True)
        return cast(Tensor, self.out_conv(x))


class ResidualConvUnit(nn.Module):
    """Two convolutions with a shortcut; the activation comes before each convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv2(functional.relu(self.conv1(functional.relu(x))))) + x
