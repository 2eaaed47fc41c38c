"""The DPT head, from a vision transformer's features to depth, in Depth Anything's variant.

Source: Ranftl et al., "Vision Transformers for Dense Prediction", ICCV 2021. Parameters have the names of the official
checkpoints. The output depends on corners being aligned wherever features are upsampled, and on the last upsampling
coming before the last convolutions.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.layers.refinenet import Fusion

HEAD_CHANNELS = 32
"""Channels before the last convolution."""


class DptHead(nn.Module):
    """Four levels of features (N, width, h, w), shallow first -> (N, patch * h, patch * w) without an activation."""

    def __init__(self, width: int, features: int, channels: tuple[int, ...], patch: int) -> None:
        """``channels``: of the four levels. ``features``: channels in the decoder. ``patch``: side, pixels."""
        super().__init__()
        self.patch = patch
        self.projects = nn.ModuleList(nn.Conv2d(width, level, 1) for level in channels)
        self.resize_layers = nn.ModuleList(
            (
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            )
        )
        self.scratch = Decoder(features, channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        h, w = features[0].shape[-2:]
        levels = [
            resize(project(level))
            for level, project, resize in zip(features, self.projects, self.resize_layers, strict=True)
        ]
        return cast(Tensor, self.scratch(levels, (self.patch * h, self.patch * w)))


class Decoder(nn.Module):
    """Fuses four levels from the deepest upwards, then upsamples to the size of the image: (N, *size)."""

    def __init__(self, features: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            nn.Conv2d(level, features, 3, padding=1, bias=False) for level in channels
        )
        self.refinenet1, self.refinenet2, self.refinenet3, self.refinenet4 = (
            Fusion(features, features) for _ in channels
        )
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, HEAD_CHANNELS, 3, padding=1), nn.ReLU(), nn.Conv2d(HEAD_CHANNELS, 1, 1)
        )

    def forward(self, levels: list[Tensor], size: tuple[int, int]) -> Tensor:
        first, second, third = self.layer1_rn(levels[0]), self.layer2_rn(levels[1]), self.layer3_rn(levels[2])
        # sizes, not factors, because the deepest level is rounded up where the grid of patches is odd
        x = self.refinenet4(self.layer4_rn(levels[3]), size=third.shape[-2:])
        x = self.refinenet3(x, third, size=second.shape[-2:])
        x = self.refinenet2(x, second, size=first.shape[-2:])
        x = self.output_conv1(self.refinenet1(x, first))
        x = functional.interpolate(x, size, mode="bilinear", align_corners=True)
        return cast(Tensor, self.output_conv2(x)).squeeze(1)
