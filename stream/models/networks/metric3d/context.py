"""The context network of Metric3D's refinement: its initial hidden states, and the context for its gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.metric3d.encoder import Config


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ContextBlock(nn.Module):
    """Two normalised and activated convolutions with a shortcut, which is projected where the channels change."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.norm1, self.norm2 = LayerNorm2d(out), LayerNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if channels != out:
            self.norm3 = LayerNorm2d(out)  # the official files hold it under two names: here and within ``downsample``
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1), self.norm3)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        y = functional.relu(self.norm2(self.conv2(y)))
        return functional.relu(self.downsample(x) + y)


class Context(nn.Module):
    """Features at 1/4, 1/7 and 1/14 -> initial hidden states and context, (N, hidden, ...) for each of the three sizes.

    The attribute names give the sizes in RAFT-Stereo, from which it was taken (Lipson et al., 3DV 2021).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.outputs04 = _two_heads(config.quarter, config.hidden)
        self.outputs08 = _two_heads(config.seventh, config.hidden)
        self.outputs16 = _two_heads(config.width, config.hidden)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        sizes = list(zip((self.outputs04, self.outputs08, self.outputs16), features, strict=True))
        hidden = [cast(Tensor, heads[0](x)).tanh() for heads, x in sizes]
        return hidden, [functional.relu(heads[1](x)) for heads, x in sizes]


def _two_heads(channels: int, out: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Sequential(ContextBlock(channels, out), nn.Conv2d(out, out, 3, padding=1)) for _ in range(2)
    )
