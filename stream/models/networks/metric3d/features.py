"""From Metric3D's tokens to features at a quarter of the image's size, by way of 1/14 and 1/7.

It differs from DPT (Ranftl et al., ICCV 2021): all levels are read from the last layer, and the official code has an
in-place activation whose result also reaches the shortcut around it. Here the activation stands where it takes effect.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.layers.vit import as_grid
from stream.models.networks.metric3d.encoder import EXTRA_TOKENS, Config

HEAD_CHANNELS = 2
"""Channels after the features: the logits of the confidences in depth and in normals."""


class Readout(nn.Module):
    """Tokens (N, 5 + h * w, width) -> (N, width, h, w); class token and registers are added to every patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project_patch = nn.Linear(width, width)
        self.project_learn = nn.Linear(EXTRA_TOKENS * width, width, bias=False)

    def forward(self, tokens: Tensor, h: int, w: int) -> Tensor:
        shared = self.project_learn(tokens[:, :EXTRA_TOKENS].flatten(1)).unsqueeze(1)
        return as_grid(functional.gelu(self.project_patch(tokens[:, EXTRA_TOKENS:]) + shared), h, w)


class Level(nn.Module):
    """One level: how it reads the tokens, and how it is resampled where its size is not 1/14."""

    def __init__(self, width: int, sample: nn.Module | None = None) -> None:
        super().__init__()
        self.readoper = Readout(width)
        self.sample = sample or nn.Identity()


class Levels(nn.Module):
    """Tokens -> features at 1/14, 1/14, 1/7 and 1/4 of the image's size."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.read_3, self.read_2 = Level(width), Level(width)
        self.read_1 = Level(width, nn.ConvTranspose2d(width, config.seventh, 2, stride=2))
        self.read_0 = Level(width, nn.Sequential(nn.Conv2d(width, config.quarter, 1)))

    def forward(self, tokens: Tensor, h: int, w: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        third, second, first, finest = (
            level.readoper(tokens, h, w) for level in (self.read_3, self.read_2, self.read_1, self.read_0)
        )
        # from 1/14 to 1/4 of the image's size is a factor of 3.5
        finest = functional.interpolate(finest, (h * 7 // 2, w * 7 // 2), mode="nearest")
        return third, second, self.read_1.sample(first), self.read_0.sample(finest)


class ActivatedUnit(nn.Module):
    """Two convolutions with a shortcut, for an input that has passed a ReLU already."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, activated: Tensor) -> Tensor:
        return activated + cast(Tensor, self.conv2(functional.relu(self.conv1(activated))))


class Fuse(nn.Module):
    """Adds a finer level if one is given, refines the sum, resizes it with corners aligned, and projects it."""

    def __init__(self, channels: int, out: int, *, adds: bool) -> None:
        super().__init__()
        self.way_trunk = ActivatedUnit(channels)
        if adds:
            self.way_branch = ActivatedUnit(channels)
        self.out_conv = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, level: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        if level is not None:
            x = x + self.way_branch(level)
        x = self.way_trunk(functional.relu(x))
        if size is not None:
            x = functional.interpolate(x, size, mode="bilinear", align_corners=True)
        return cast(Tensor, self.out_conv(x))


class Features(nn.Module):
    """Features at 1/14, 1/14 and 1/7 (the last two already activated) -> (N, quarter + 2, h * 7 / 2, w * 7 / 2)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.upconv_3 = Fuse(config.width, config.width, adds=False)
        self.upconv_2 = Fuse(config.width, config.seventh, adds=True)
        self.upconv_1 = Fuse(config.seventh, config.quarter + HEAD_CHANNELS, adds=True)

    def forward(self, third: Tensor, second: Tensor, first: Tensor, h: int, w: int) -> Tensor:
        x = self.upconv_2(self.upconv_3(third), second, (2 * h, 2 * w))
        return cast(Tensor, self.upconv_1(x, first, (h * 7 // 2, w * 7 // 2)))
