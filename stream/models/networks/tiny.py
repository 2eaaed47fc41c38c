"""Tiny: our small depth network of 902,505 parameters, an inverted-residual encoder and a depthwise decoder.

It was trained on rendered scenes only; see docs/reference/models/tiny.md.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.layers.padding import require_multiples

CHANNELS = (16, 24, 40, 80, 160)
"""Encoder channels at strides 2, 4, 8, 16 and 32."""

STAGES = ((2, 3, 3), (3, 5, 4), (4, 5, 4), (3, 5, 4))
"""(repeats, kernel, expansion) of the encoder's stages at strides 4, 8, 16 and 32."""

DECODER = (16, 32, 56, 96)
"""Decoder channels at strides 2, 4, 8 and 16."""


class TinyDepth(nn.Module):
    """(N, 3, h, w) normalised RGB -> (N, h, w) inverse depth, larger is nearer, scale and shift arbitrary.

    Raises ValueError unless h and w are multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        c2, c4, c8, c16, c32 = CHANNELS
        d2, d4, d8, d16 = DECODER
        self.stem = nn.Sequential(conv_norm(3, c2, 3, stride=2), nn.ReLU())
        self.stride2 = InvertedResidual(c2, c2, 3, stride=1, expansion=1)
        self.stride4, self.stride8, self.stride16, self.stride32 = (
            _stage(channels, out, *stage) for (channels, out), stage in zip(pairwise(CHANNELS), STAGES, strict=True)
        )
        self.context = Context(c32)
        self.up16, self.up8, self.up4 = Up(c32, c16, d16), Up(d16, c8, d8), Up(d8, c4, d4)
        self.up2 = LightUp(d4, c2, d2)
        self.head = nn.Conv2d(d2, 1, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        require_multiples(pixels, 32)
        stride2 = self.stride2(self.stem(pixels))
        stride4 = self.stride4(stride2)
        stride8 = self.stride8(stride4)
        stride16 = self.stride16(stride8)
        x = self.context(self.stride32(stride16))
        x = self.up8(self.up16(x, stride16), stride8)
        x = self.up2(self.up4(x, stride4), stride2)
        return upsample_2x(self.head(x)).squeeze(1)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; plus a shortcut where size and channels stay the same."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.identity = stride == 1 and channels == out
        self.expand = conv_norm(channels, wide, 1)
        self.depthwise = conv_norm(wide, wide, kernel, stride=stride, groups=wide)
        self.project = conv_norm(wide, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.expand(x))
        y = functional.relu(self.depthwise(y))
        y = cast(Tensor, self.project(y))
        return x + y if self.identity else y


class Context(nn.Module):
    """Scales and shifts every channel by factors that depend on the mean over the whole image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // 2)
        self.excite = nn.Linear(channels // 2, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        gate, shift = self.excite(functional.relu(self.squeeze(x.mean((2, 3))))).chunk(2, 1)
        # twice the sigmoid: a gate of 0 leaves the channel unscaled
        return cast(Tensor, x * (2 * torch.sigmoid(gate))[..., None, None] + shift[..., None, None])


class Up(nn.Module):
    """Doubles the size, adds the encoder's features of that size and refines the sum twice with depthwise filters."""

    def __init__(self, channels: int, level: int, out: int) -> None:
        super().__init__()
        self.project, self.level = conv_norm(channels, out, 1), conv_norm(level, out, 1)
        self.refine, self.finish = _refinement(out, 5), _refinement(out, 3)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = upsample_2x(functional.relu(self.project(x))) + functional.relu(self.level(level))
        x = x + self.refine(x)
        return functional.relu(x + self.finish(x))


class LightUp(nn.Module):
    """The last upsampling step. It has few channels, so that one dense convolution can refine them."""

    def __init__(self, channels: int, level: int, out: int) -> None:
        super().__init__()
        self.project, self.level = conv_norm(channels, out, 1), nn.Conv2d(level, out, 1)
        self.refine = conv_norm(out, out, 3)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return functional.relu(self.refine(upsample_2x(functional.relu(self.project(x))) + self.level(level)))


def conv_norm(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, then batch normalisation."""
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out))


def upsample_2x(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _stage(channels: int, out: int, repeats: int, kernel: int, expansion: int) -> nn.Sequential:
    first = InvertedResidual(channels, out, kernel, stride=2, expansion=expansion)
    rest = (InvertedResidual(out, out, kernel, stride=1, expansion=expansion) for _ in range(repeats - 1))
    return nn.Sequential(first, *rest)


def _refinement(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm(channels, channels, kernel, groups=channels), nn.ReLU(), conv_norm(channels, channels, 1)
    )
