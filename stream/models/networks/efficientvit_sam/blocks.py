"""Layers and blocks of EfficientViT, with the parameter names of the official checkpoints."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-6
"""Epsilon of every norm: the official builder overwrites torch's defaults, in Segment Anything's decoder too."""


class ConvLayer(nn.Module):
    """Convolution, batch normalisation (if ``norm``), GELU (if ``activated``)."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        bias: bool = False,
        activated: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(out, eps=NORM_EPS) if norm else None
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return functional.gelu(x, approximate="tanh") if self.activated else x


class OpSequential(nn.Module):
    """Modules in sequence, under the list name that the official checkpoint has."""

    def __init__(self, *operations: nn.Module) -> None:
        super().__init__()
        self.op_list = nn.ModuleList(operations)

    def forward(self, x: Tensor) -> Tensor:
        for operation in self.op_list:
            x = operation(x)
        return x


class Residual(nn.Module):
    """``main`` with a shortcut; or ``main`` alone, under the name that it has in the checkpoint."""

    def __init__(self, main: nn.Module, shortcut: bool = True) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.main(x)
        return y + x if self.shortcut else y


class PlainBlock(nn.Module):
    """Two dense convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3)
        self.conv2 = ConvLayer(channels, channels, 3, activated=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y


class FusedBlock(nn.Module):
    """A dense convolution that expands, then a projection (FusedMBConv)."""

    def __init__(
        self, channels: int, out: int, *, expansion: int, stride: int = 1, norm_last_only: bool = False
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self.spatial_conv = ConvLayer(channels, wide, 3, stride=stride, bias=norm_last_only, norm=not norm_last_only)
        self.point_conv = ConvLayer(wide, out, 1, activated=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.point_conv(self.spatial_conv(x))
        return y


class InvertedBlock(nn.Module):
    """Expand, filter each channel, project (MBConv)."""

    def __init__(
        self, channels: int, out: int, *, expansion: int, stride: int = 1, norm_last_only: bool = False
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self.inverted_conv = ConvLayer(channels, wide, 1, bias=norm_last_only, norm=not norm_last_only)
        self.depth_conv = ConvLayer(
            wide, wide, 3, stride=stride, groups=wide, bias=norm_last_only, norm=not norm_last_only
        )
        self.point_conv = ConvLayer(wide, out, 1, activated=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.point_conv(self.depth_conv(self.inverted_conv(x)))
        return y
