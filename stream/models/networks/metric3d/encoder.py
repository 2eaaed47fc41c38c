"""Metric3D's encoder: DINOv2's transformer with register tokens.

Source: Darcet et al., "Vision Transformers Need Registers", ICLR 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from stream.models.networks.layers.vit import NORM_EPS, TRAINED_GRID, Block, PatchEmbed, grid_of, resized_positions

PATCH = 14
"""Side of a patch, pixels."""
REGISTERS = 4
"""Number of register tokens, which belong to no patch."""
EXTRA_TOKENS = 1 + REGISTERS
"""Class token and registers."""


@dataclass(frozen=True, slots=True)
class Config:
    """The proportions of one network."""

    width: int
    """Channels of a token and of features at 1/14 of the image's size."""
    layers: int
    heads: int
    seventh: int
    """Channels of features at 1/7 of the image's size."""
    quarter: int
    """Channels of features at 1/4 of the image's size."""
    hidden: int
    """Channels of the refinement's hidden state and of its context, at each of its three sizes."""
    iterations: int
    """Iterations of the refinement."""


class Encoder(nn.Module):
    """(N, 3, h, w) -> tokens (N, 1 + 4 + h / 14 * w / 14, width), normalised: class, registers, patches row by row."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TRAINED_GRID**2, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, REGISTERS, width))
        self.patch_embed = PatchEmbed(width, PATCH)
        # the official code splits the layers into several lists to train on several machines; released files hold one
        self.blocks = nn.ModuleList([nn.Sequential(*(Block(width, config.heads) for _ in range(config.layers)))])
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, pixels: Tensor) -> Tensor:
        h, w = grid_of(pixels, PATCH)
        n = pixels.shape[0]
        x = torch.cat((self.cls_token.expand(n, -1, -1), self.patch_embed(pixels)), 1)
        x = x + resized_positions(self.pos_embed, h, w)
        x = torch.cat(
            (x[:, :1], self.register_tokens.expand(n, -1, -1), x[:, 1:]), 1
        )  # registers have no position embedding
        return cast(Tensor, self.norm(self.blocks[0](x)))
