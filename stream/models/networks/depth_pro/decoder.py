"""Depth Pro's decoder, which fuses levels from the coarsest upwards, and the head that makes depth of the result."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.depth_pro.encoder import Config

HEAD_CHANNELS = 32


class Decoder(nn.Module):
    """Features at strides 2, 4, 8, 16 and 32 -> fused features at stride 2, and the coarsest level after projection.

    Both have ``config.features`` channels.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        out = config.features
        projections = (nn.Conv2d(channels, out, 3, padding=1, bias=False) for channels in config.levels)
        self.convs = nn.ModuleList([nn.Identity(), *projections])
        self.fusions = nn.ModuleList(Fusion(out, doubles=index > 0) for index in range(len(self.convs)))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        *finer, coarsest = (conv(level) for conv, level in zip(self.convs, levels, strict=True))
        x = self.fusions[-1](coarsest)
        for index in reversed(range(len(finer))):
            x = self.fusions[index](x, finer[index])
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
    """Two convolutions with a shortcut; the activation comes before each convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convs = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.residual = nn.Sequential(*(layer for conv in convs for layer in (nn.ReLU(), conv)))

    def forward(self, x: Tensor) -> Tensor:
        refined: Tensor = x + self.residual(x)
        return refined


class Float32Sequential(nn.Sequential):
    """Convolutions and activations that compute in float32 even where their weights and input are in half precision.

    Inverse depth that is rounded to float16 has steps of 0.05 to 0.1%: 5 to 10 cm at 100 m. On small networks with
    random weights that rounding was 10 to 25 times the error of all layers computed in half precision before it.
    """

    def forward(self, x: Tensor) -> Tensor:
        # a float32 network gets no casts, so that its trace can be converted to bfloat16 as a whole
        is_float32 = x.dtype == torch.float32
        x = x if is_float32 else x.float()
        for layer in self:
            x = layer(x) if is_float32 else _in_float32(layer, x)
        return x


def _in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        result: Tensor = layer(x)
        return result
    assert layer.bias is not None
    weight, bias = layer.weight.float(), layer.bias.float()
    if isinstance(layer, nn.ConvTranspose2d):
        return functional.conv_transpose2d(x, weight, bias, layer.stride)
    return functional.conv2d(x, weight, bias, layer.stride, layer.padding)


def depth_head(features: int) -> Float32Sequential:
    """Features (N, C, h, w) -> canonical inverse depth (N, 1, 2h, 2w) float32, never negative."""
    half = features // 2
    last = nn.Conv2d(HEAD_CHANNELS, 1, 1)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return Float32Sequential(
        nn.Conv2d(features, half, 3, padding=1),
        nn.ConvTranspose2d(half, half, 2, 2),
        nn.Conv2d(half, HEAD_CHANNELS, 3, padding=1),
        nn.ReLU(),
        last,
        nn.ReLU(),
    )
