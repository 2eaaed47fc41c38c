"""MiDaS v2.1 small: an EfficientNet-Lite3 encoder and a RefineNet-like decoder, written with torch alone.

Parameters and buffers have the names of the official checkpoint, so that it loads strictly. The output depends on these
details, which are easy to get wrong (sources: isl-org/MiDaS, rwightman/gen-efficientnet-pytorch): batch normalisation
has TensorFlow's epsilon; TensorFlow's "SAME" padding puts the odd pixel after the image; the encoder has ReLU6 and the
decoder ReLU; corners are aligned when features are upsampled, but not in the head.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.layers.padding import require_multiples
from stream.models.networks.layers.refinenet import Fusion

BN_EPS = 1e-3
"""TensorFlow's epsilon; torch's default is 1e-5."""

STEM = 32
"""Channels after the first convolution."""

STAGES = (
    (1, 3, 1, 1, 24),
    (3, 3, 2, 6, 32),
    (3, 5, 2, 6, 48),
    (5, 3, 2, 6, 96),
    (5, 5, 1, 6, 136),
    (6, 5, 2, 6, 232),
    (1, 3, 1, 6, 384),
)
"""(repeats, kernel, stride of the first block, expansion, channels): EfficientNet-B0 at width 1.2 and depth 1.4."""

LEVELS = ((0, 2), (2, 3), (3, 5), (5, 7))
"""Ranges of STAGES that form layer1..layer4, whose outputs, at strides 4, 8, 16 and 32, feed the decoder."""

TAPS = (32, 48, 136, 384)
"""Channels at the end of each level."""

FEATURES = (64, 128, 256, 512)
"""Decoder channels at strides 4, 8, 16 and 32."""


class MidasSmall(nn.Module):
    """(N, 3, h, w) normalised RGB -> (N, h, w) inverse relative depth, >= 0, larger is nearer.

    Raises ValueError unless h and w are multiples of 32. Follows MidasNet_small of isl-org/MiDaS.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pretrained = Encoder()
        self.scratch = Decoder()

    def forward(self, pixels: Tensor) -> Tensor:
        require_multiples(pixels, 32)
        return cast(Tensor, self.scratch(self.pretrained(pixels)))


class Encoder(nn.Module):
    """(N, 3, h, w) -> features at strides 4, 8, 16 and 32 (channels: ``TAPS``)."""

    def __init__(self) -> None:
        super().__init__()
        stages = list(_stages())
        (a, b), (c, d), (e, f), (g, h) = LEVELS
        self.layer1 = nn.Sequential(conv(3, STEM, 3, stride=2), norm(STEM), nn.ReLU6(), *stages[a:b])
        self.layer2 = nn.Sequential(*stages[c:d])
        self.layer3 = nn.Sequential(*stages[e:f])
        self.layer4 = nn.Sequential(*stages[g:h])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        stride4 = self.layer1(pixels)
        stride8 = self.layer2(stride4)
        stride16 = self.layer3(stride8)
        return stride4, stride8, stride16, self.layer4(stride16)


class Decoder(nn.Module):
    """Fuses four levels from the deepest upwards (add the next level, refine, double the size) and applies the head."""

    def __init__(self) -> None:
        super().__init__()
        f4, f8, f16, f32 = FEATURES
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            nn.Conv2d(tap, features, 3, padding=1, bias=False) for tap, features in zip(TAPS, FEATURES, strict=True)
        )
        self.refinenet4, self.refinenet3 = Fusion(f32, f16), Fusion(f16, f8)
        self.refinenet2, self.refinenet1 = Fusion(f8, f4), Fusion(f4, f4)
        self.output_conv = nn.Sequential(
            nn.Conv2d(f4, f4 // 2, 3, padding=1),
            nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False),
            nn.Conv2d(f4 // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, levels: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        stride4, stride8, stride16, stride32 = levels
        x = self.refinenet4(self.layer4_rn(stride32))
        x = self.refinenet3(x, self.layer3_rn(stride16))
        x = self.refinenet2(x, self.layer2_rn(stride8))
        x = self.refinenet1(x, self.layer1_rn(stride4))
        return cast(Tensor, self.output_conv(x)).squeeze(1)


class DepthwiseSeparable(nn.Module):
    """The block of the first stage: no expansion, no shortcut, no activation after the projection."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = conv(channels, channels, kernel, groups=channels), norm(channels)
        self.conv_pw, self.bn2 = conv(channels, out, 1), norm(out)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.bn1(self.conv_dw(x)))
        return cast(Tensor, self.bn2(self.conv_pw(x)))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; plus a shortcut where size and channels stay the same."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.identity = stride == 1 and channels == out
        self.conv_pw, self.bn1 = conv(channels, wide, 1), norm(wide)
        self.conv_dw, self.bn2 = conv(wide, wide, kernel, stride=stride, groups=wide), norm(wide)
        self.conv_pwl, self.bn3 = conv(wide, out, 1), norm(out)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.bn1(self.conv_pw(x)))
        y = functional.relu6(self.bn2(self.conv_dw(y)))
        y = cast(Tensor, self.bn3(self.conv_pwl(y)))
        return x + y if self.identity else y


class HalvingConv(nn.Conv2d):
    """A stride-2 convolution with TensorFlow's "SAME" padding for even sizes: kernel - 2 pixels, the odd one after.

    That is (0, 1) for 3x3 kernels and (1, 2) for 5x5; torch's ``padding=kernel // 2`` would shift the image by one
    pixel. With inputs in multiples of 32 every size is even, so the padding is a constant and a trace holds for all of
    them.
    """

    def __init__(self, channels: int, out: int, kernel: int, groups: int) -> None:
        super().__init__(channels, out, kernel, stride=2, groups=groups, bias=False)
        before, after = (kernel - 2) // 2, (kernel - 1) // 2
        self.margins = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, self.margins))


def conv(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size (``stride`` 1) or halves it (``stride`` 2)."""
    if stride == 2:
        return HalvingConv(channels, out, kernel, groups)
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPS)


def _stages() -> list[nn.Sequential]:
    stages, channels = [], STEM
    for repeats, kernel, stride, expansion, out in STAGES:
        blocks = []
        for i in range(repeats):
            blocks.append(_block(channels, out, kernel, stride if i == 0 else 1, expansion))
            channels = out
        stages.append(nn.Sequential(*blocks))
    return stages


def _block(channels: int, out: int, kernel: int, stride: int, expansion: int) -> nn.Module:
    if expansion == 1:
        return DepthwiseSeparable(channels, out, kernel)
    return InvertedResidual(channels, out, kernel, stride, expansion)
