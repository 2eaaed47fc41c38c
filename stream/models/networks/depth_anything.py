"""Depth Anything V1 and V2, relative and metric: a DINOv2 transformer and a DPT head, written with torch alone.

Parameters have the names of the official checkpoints, so that these load strictly. The output depends on three details
that are easy to get wrong (sources: LiheYoung/Depth-Anything, DepthAnything/Depth-Anything-V2): which layers feed the
head, that each of them is normalised, and how positions are resized (``layers.vit.resized_positions``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.layers.dpt import DptHead
from stream.models.networks.layers.padding import require_multiples
from stream.models.networks.layers.vit import (
    NORM_EPS,
    TRAINED_GRID,
    Block,
    PatchEmbed,
    as_grid,
    grid_of,
    resized_positions,
)

PATCH = 14
"""Side of a patch, pixels."""


@dataclass(frozen=True, slots=True)
class Config:
    """The proportions of one network."""

    width: int
    """Channels of a token."""
    layers: int
    """Transformer blocks."""
    heads: int
    """Attention heads of each block."""
    features: int
    """Channels in the decoder."""
    channels: tuple[int, int, int, int]
    """Channels of the four levels that go into the decoder, shallow first."""
    taps: tuple[int, int, int, int]
    """Layers, counted from 0, whose outputs feed the head (V2)."""


CONFIGS = {
    "vits": Config(384, 12, 6, 64, (48, 96, 192, 384), (2, 5, 8, 11)),
    "vitb": Config(768, 12, 12, 128, (96, 192, 384, 768), (2, 5, 8, 11)),
    "vitl": Config(1024, 24, 16, 256, (256, 512, 1024, 1024), (4, 11, 17, 23)),
}
"""By the official names of the encoders."""


class DepthAnything(nn.Module):
    """(N, 3, h, w) normalised RGB -> (N, h, w) float32.

    The output is inverse relative depth, >= 0, larger is nearer; or, with ``max_depth``, metres from 0 to that. Raises
    ValueError unless h and w are multiples of 14.
    """

    def __init__(
        self, encoder: str | Config = "vits", version: Literal[1, 2] = 2, max_depth: float | None = None
    ) -> None:
        super().__init__()
        config = CONFIGS[encoder] if isinstance(encoder, str) else encoder
        # V1's head takes the last four layers: a mistake, as its authors say in V2's README, but it was trained so
        self.taps = config.taps if version == 2 else tuple(range(config.layers - 4, config.layers))
        self.max_depth = max_depth
        self.pretrained = DinoV2(config.width, config.layers, config.heads)
        self.depth_head = DptHead(config.width, config.features, config.channels, PATCH)

    def forward(self, pixels: Tensor) -> Tensor:
        require_multiples(pixels, PATCH)
        # float32, because float16 has steps of 3 cm beyond 32 m
        output = cast(Tensor, self.depth_head(self.pretrained(pixels, self.taps))).float()
        return functional.relu(output) if self.max_depth is None else torch.sigmoid(output) * self.max_depth


class DinoV2(nn.Module):
    """The encoder: (N, 3, h, w) -> normalised outputs of the layers ``taps``, each (N, width, h / 14, w / 14)."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TRAINED_GRID**2, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # part of the checkpoint; only training uses it
        self.patch_embed = PatchEmbed(width, PATCH)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, pixels: Tensor, taps: tuple[int, ...]) -> list[Tensor]:
        h, w = grid_of(pixels, PATCH)
        x = torch.cat((self.cls_token.expand(pixels.shape[0], -1, -1), self.patch_embed(pixels)), 1)
        x = x + resized_positions(self.pos_embed, h, w)
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in taps:
                outputs.append(as_grid(self.norm(x)[:, 1:], h, w))
        return outputs
