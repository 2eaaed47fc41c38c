"""Metric3D's encoder: DINOv2's transformer with registers (Darcet et al., "Vision Transformers Need Registers", ICLR
2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from stream.models.networks.layers.vit import NORM_EPS, TRAINED_GRID, Block, PatchEmbed, grid_of, resized_positions

PATCH = 14
"""Pixels along each side of a patch."""
REGISTERS = 4
"""Tokens that belong to no patch, beside the class token."""
EXTRA_TOKENS = 1 + REGISTERS


@dataclass(frozen=True, slots=True)
class Config:
    """How large a network is."""

    width: int
    """Of a token; also the channels of features at 1/14 of the image's size."""
    layers: int
    heads: int
    seventh: int
    """Channels of features at 1/7 of the image's size."""
    quarter: int
    """Channels of features at 1/4 of the image's size."""
    hidden: int
    """Channels of the refinement's memory and of what it is told, at each of its three sizes."""
    iterations: int
    """Turns of the refinement."""


class Encoder(nn.Module):
    """(N, 3, h, w) -> tokens (N, 1 + 4 + h / 14 * w / 14, width), normalised: class, registers, patches row by row."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TRAINED_GRID**2, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, REGISTERS, width))
        self.patch_embed = PatchEmbed(width, PATCH)
        # official code deals layers out to several lists for training on several machines; released files hold one
        self.blocks = nn.ModuleList([nn.Sequential(*(Block(width, config.heads) for _ in range(config.layers)))])
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, pixels: Tensor) -> Tensor:
        h, w = grid_of(pixels, PATCH)
        n = pixels.shape[0]
        x = torch.cat((self.cls_token.expand(n, -1, -1), self.patch_embed(pixels)), 1)
        x = x + resized_positions(self.pos_embed, h, w)
        x = torch.cat((x[:, :1], self.register_tokens.expand(n, -1, -1), x[:, 1:]), 1)  # registers have no position
        return cast(Tensor, self.norm(self.blocks[0](x)))
