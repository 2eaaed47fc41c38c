"""EfficientViT-L, the image encoder's backbone: convolutions, then linear attention (Cai et al., ICCV 2023).

Parameters have the names of the official checkpoints (mit-han-lab/efficientvit). Easy to get wrong: every norm has
epsilon 1e-6, GELU is the tanh approximation, and linear attention sums over all positions, which overflows in half
precision.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.efficientvit_sam.blocks import (
    NORM_EPS,
    ConvLayer,
    FusedBlock,
    InvertedBlock,
    OpSequential,
    PlainBlock,
    Residual,
)

HEAD_CHANNELS = 32
"""Channels of one attention head."""
DIVISION_EPS = 1e-15

Kind = Literal["fused", "inverted", "attention 3", "attention 5"]
"""Kind of a stage's blocks; the number is the kernel size of the attention's second scale."""
STAGES: dict[int, tuple[tuple[Kind, int, bool], ...]] = {
    5: (("fused", 4, False), ("fused", 4, False), ("inverted", 4, True), ("attention 5", 6, True)),
    6: (
        ("fused", 4, False),
        ("fused", 4, False),
        ("fused", 4, False),
        ("attention 3", 4, True),
        ("attention 3", 6, True),
    ),
}
"""By the number of stages, for each stage after the first: the kind of its blocks, their expansion, and True if only
the last layer of a block is normalised."""


class Backbone(nn.Module):
    """(N, 3, h, w) -> features of each stage, at strides 2, 4, 8, ..."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        first = (Residual(PlainBlock(widths[0])) for _ in range(depths[0]))
        stages = [OpSequential(ConvLayer(3, widths[0], 3, stride=2), *first)]
        for (channels, out), depth, stage in zip(pairwise(widths), depths[1:], STAGES[len(widths)], strict=True):
            stages.append(_stage(channels, out, depth, *stage))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class AttentionBlock(nn.Module):
    """Global context by attention, then local context by convolution."""

    def __init__(self, channels: int, *, expansion: int, kernel: int) -> None:
        super().__init__()
        self.context_module = Residual(LinearAttention(channels, kernel))
        self.local_module = Residual(InvertedBlock(channels, channels, expansion=expansion, norm_last_only=True))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.local_module(self.context_module(x))
        return y


class LinearAttention(nn.Module):
    """Attention with ReLU instead of softmax, so that its cost grows linearly with the number of positions.

    Half of the heads take each position by itself, half its ``kernel`` x ``kernel`` neighbourhood.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        wide, heads = 3 * channels, channels // HEAD_CHANNELS
        self.heads = 2 * heads
        self.qkv = ConvLayer(channels, wide, 1, norm=False, activated=False)
        depthwise = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(depthwise, nn.Conv2d(wide, wide, 1, groups=3 * heads, bias=False))])
        self.proj = ConvLayer(2 * channels, channels, 1, activated=False)

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        qkv = self.qkv(x)
        y = torch.cat((qkv, self.aggreg[0](qkv)), 1)
        # float32 from here on: sums over thousands of positions exceed half precision's range
        q, k, v = y.float().reshape(n, self.heads, 3 * HEAD_CHANNELS, h * w).chunk(3, 2)
        v = functional.pad(v, (0, 0, 0, 1), value=1.0)  # a row of ones, so that the same product also sums the weights
        attended = (v @ functional.relu(k).transpose(-1, -2)) @ functional.relu(q)
        attended = attended[:, :, :-1] / (attended[:, :, -1:] + DIVISION_EPS)
        mixed: Tensor = self.proj(attended.reshape(n, self.heads * HEAD_CHANNELS, h, w).to(y.dtype))
        return mixed


class LayerNorm2d(nn.Module):
    """Normalises the channels of each position, in float32: their squares exceed half precision's range."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        full = x.float()
        centred = full - full.mean(1, keepdim=True)
        normal = centred / torch.sqrt(centred.square().mean(1, keepdim=True) + NORM_EPS)
        return (normal * self.weight.float()[:, None, None] + self.bias.float()[:, None, None]).to(x.dtype)


def _stage(channels: int, out: int, depth: int, kind: Kind, expansion: int, norm_last_only: bool) -> OpSequential:
    """One block that halves the size, with four times the expansion, then ``depth`` blocks that keep it."""
    block = FusedBlock if kind == "fused" else InvertedBlock
    halving = Residual(
        block(channels, out, expansion=4 * expansion, stride=2, norm_last_only=norm_last_only), shortcut=False
    )
    return OpSequential(halving, *(_block(out, kind, expansion, norm_last_only) for _ in range(depth)))


def _block(channels: int, kind: Kind, expansion: int, norm_last_only: bool) -> nn.Module:
    if kind in ("attention 3", "attention 5"):
        return AttentionBlock(channels, expansion=expansion, kernel=int(kind[-1]))
    block = FusedBlock if kind == "fused" else InvertedBlock
    return Residual(block(channels, channels, expansion=expansion, norm_last_only=norm_last_only))
