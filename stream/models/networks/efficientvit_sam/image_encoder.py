"""EfficientViT-L, the image encoder's backbone: convolutions, then linear attention (Cai et al., ICCV 2023).

Names of parameters are those of the official checkpoints (mit-han-lab/efficientvit). What is easily got wrong: every
norm has epsilon 1e-6, GELU is the one by tanh, and linear attention sums over all places, which half precision cannot.
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
    Operations,
    PlainBlock,
    Residual,
)

HEAD = 32
"""Channels of one head of attention."""
DIVISION_EPS = 1e-15

Kind = Literal["fused", "inverted", "attention 3", "attention 5"]
"""Of a stage's blocks; the number is the kernel of the attention's second scale."""
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
"""By the number of stages: each one's blocks after the first stage, their expansion, and whether only a block's last
layer is normalised."""


class Backbone(nn.Module):
    """(N, 3, h, w) -> features of each stage, at strides 2, 4, 8, ..."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        first = (Residual(PlainBlock(widths[0])) for _ in range(depths[0]))
        stages = [Operations(ConvLayer(3, widths[0], 3, stride=2), *first)]
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
    """What lies far away by attention, what lies near by convolution."""

    def __init__(self, channels: int, *, expansion: int, kernel: int) -> None:
        super().__init__()
        self.context_module = Residual(LinearAttention(channels, kernel))
        self.local_module = Residual(InvertedBlock(channels, channels, expansion=expansion, few_norms=True))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.local_module(self.context_module(x))
        return y


class LinearAttention(nn.Module):
    """Attention by ReLU instead of softmax, whose cost grows with the number of places and not with its square.

    Half of the heads see each place by itself, half its ``kernel`` x ``kernel`` neighbourhood. In float32 from the
    queries on: sums over thousands of places leave half precision's range.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        wide, heads = 3 * channels, channels // HEAD
        self.heads = 2 * heads
        self.qkv = ConvLayer(channels, wide, 1, norm=False, activated=False)
        depthwise = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(depthwise, nn.Conv2d(wide, wide, 1, groups=3 * heads, bias=False))])
        self.proj = ConvLayer(2 * channels, channels, 1, activated=False)

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        near = self.qkv(x)
        y = torch.cat((near, self.aggreg[0](near)), 1)
        q, k, v = y.float().reshape(n, self.heads, 3 * HEAD, h * w).chunk(3, 2)
        v = functional.pad(v, (0, 0, 0, 1), value=1.0)  # a row of ones: the same product gives the weights' sum
        seen = (v @ functional.relu(k).transpose(-1, -2)) @ functional.relu(q)
        seen = seen[:, :, :-1] / (seen[:, :, -1:] + DIVISION_EPS)
        mixed: Tensor = self.proj(seen.reshape(n, self.heads * HEAD, h, w).to(y.dtype))
        return mixed


class LayerNorm2d(nn.Module):
    """Normalises the channels of each place, in float32: their squares leave half precision's range."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        centred = wide - wide.mean(1, keepdim=True)
        normal = centred / torch.sqrt(centred.square().mean(1, keepdim=True) + NORM_EPS)
        return (normal * self.weight.float()[:, None, None] + self.bias.float()[:, None, None]).to(x.dtype)


def _stage(channels: int, out: int, depth: int, kind: Kind, expansion: int, few_norms: bool) -> Operations:
    """One block that halves the image, expanding four times as much, and ``depth`` that keep it."""
    block = FusedBlock if kind == "fused" else InvertedBlock
    halving = Residual(block(channels, out, expansion=4 * expansion, stride=2, few_norms=few_norms), shortcut=False)
    return Operations(halving, *(_block(out, kind, expansion, few_norms) for _ in range(depth)))


def _block(channels: int, kind: Kind, expansion: int, few_norms: bool) -> nn.Module:
    if kind in ("attention 3", "attention 5"):
        return AttentionBlock(channels, expansion=expansion, kernel=int(kind[-1]))
    block = FusedBlock if kind == "fused" else InvertedBlock
    return Residual(block(channels, channels, expansion=expansion, few_norms=few_norms))
