"""Depth Pro's decoder: from the coarsest level upwards, bring in the next one and double the size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.depth_pro.encoder import Config

HEAD_CHANNELS = 32


class Decoder(nn.Module):
    """Features at strides 2, 4, 8, 16 and 32 -> features at stride 2, and the coarsest level as it was taken in.

    Both have ``config.features`` channels.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        out = config.features
        taken = (nn.Conv2d(channels, out, 3, padding=1, bias=False) for channels in config.levels)
        self.convs = nn.ModuleList([nn.Identity(), *taken])
        self.fusions = nn.ModuleList(Fusion(out, doubles=number > 0) for number in range(len(self.convs)))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        *finer, coarsest = (conv(level) for conv, level in zip(self.convs, levels, strict=True))
        x = self.fusions[-1](coarsest)
        for number in reversed(range(len(finer))):
            x = self.fusions[number](x, finer[number])
        return x, coarsest


class Fusion(nn.Module):
    """Adds a level's refined features, refines the sum, doubles its size and projects it, in this order."""

    def __init__(self, channels: int, *, doubles: bool) -> None:
        super().__init__()
        self.resnet1, self.resnet2 = Residual(channels), Residual(channels)
        self.deconv = nn.ConvTranspose2d(channels, channels, 2, 2, bias=False) if doubles else nn.Identity()
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        if level is not None:
            x = x + self.resnet1(level)
        fused: Tensor = self.out_conv(self.deconv(self.resnet2(x)))
        return fused


class Residual(nn.Module):
    """Two activated convolutions beside an identity; the activation comes before each convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convs = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.residual = nn.Sequential(*(layer for conv in convs for layer in (nn.ReLU(), conv)))

    def forward(self, x: Tensor) -> Tensor:
        refined: Tensor = x + self.residual(x)
        return refined


class Wide(nn.Sequential):
    """Convolutions and activations that give float32, and compute in it, also where weights and input are in half.

    Inverse depth that is rounded to half has steps of 0.05 to 0.1%: 5 to 10 cm at 100 m. On small networks with random
    weights that rounding was 10 to 25 times the error of all that is computed in half before it.
    """

    def forward(self, x: Tensor) -> Tensor:
        as_it_is = x.dtype == torch.float32  # without casts: a trace of it can be brought into bfloat16 as a whole
        x = x if as_it_is else x.float()
        for layer in self:
            x = layer(x) if as_it_is else _in_float32(layer, x)
        return x


def _in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        passed: Tensor = layer(x)
        return passed
    assert layer.bias is not None
    weight, bias = layer.weight.float(), layer.bias.float()
    if isinstance(layer, nn.ConvTranspose2d):
        return functional.conv_transpose2d(x, weight, bias, layer.stride)
    return functional.conv2d(x, weight, bias, layer.stride, layer.padding)


def depth_head(features: int) -> Wide:
    """Features (N, C, h, w) -> canonical inverse depth (N, 1, 2h, 2w) float32, never negative."""
    half = features // 2
    last = nn.Conv2d(HEAD_CHANNELS, 1, 1)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return Wide(
        nn.Conv2d(features, half, 3, padding=1),
        nn.ConvTranspose2d(half, half, 2, 2),
        nn.Conv2d(half, HEAD_CHANNELS, 3, padding=1),
        nn.ReLU(),
        last,
        nn.ReLU(),
    )
