"""Segment Anything's two-way transformer: prompt tokens and image positions attend to each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.models.networks.efficientvit_sam.blocks import NORM_EPS

HEADS, LAYERS, MLP_CHANNELS = 8, 2, 2048


class Transformer(nn.Module):
    """Two layers of cross-attention in both directions, then tokens attend to the image once more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(channels, first=i == 0) for i in range(LAYERS))
        self.final_attn_token_to_image = Attention(channels, channels // 2)
        self.norm_final_attn = nn.LayerNorm(channels, eps=NORM_EPS)

    def forward(self, tokens: Tensor, features: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Updated ``tokens`` (K, T, C) and image ``features`` (K, 64 * 64, C); ``grid`` is the position encoding."""
        start = tokens
        for layer in self.layers:
            tokens, features = layer(tokens, features, start, grid)
        attended = self.final_attn_token_to_image(tokens + start, features + grid, features)
        return self.norm_final_attn(tokens + attended), features


class TwoWayBlock(nn.Module):
    """One layer of the transformer. In the first one, tokens serve as their own position encoding."""

    def __init__(self, channels: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(channels, channels)
        self.cross_attn_token_to_image = Attention(channels, channels // 2)
        self.cross_attn_image_to_token = Attention(channels, channels // 2)
        self.mlp = FeedForward(channels)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(channels, eps=NORM_EPS) for _ in range(4))

    def forward(self, tokens: Tensor, features: Tensor, start: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            tokens = self.norm1(tokens + self.self_attn(tokens + start, tokens + start, tokens))
        positioned = features + grid
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + start, positioned, features))
        tokens = self.norm3(tokens + self.mlp(tokens))
        return tokens, self.norm4(features + self.cross_attn_image_to_token(positioned, tokens + start, tokens))


class Attention(nn.Module):
    """Multi-head attention, written as products and a softmax because exporters and TensorRT handle these best."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, inner) for _ in range(3))
        self.out_proj = nn.Linear(inner, channels)
        self.scale = math.sqrt(inner // HEADS)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        q, k, v = _heads(self.q_proj(queries)), _heads(self.k_proj(keys)), _heads(self.v_proj(values))
        weights = torch.softmax(q @ k.transpose(-1, -2) / self.scale, -1)
        mixed: Tensor = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """Two linear layers with ReLU between them, applied to each token."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(channels, MLP_CHANNELS), nn.Linear(MLP_CHANNELS, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.lin2(functional.relu(self.lin1(x)))
        return y


def _heads(x: Tensor) -> Tensor:
    """(K, T, C) -> (K, heads, T, C / heads)."""
    return x.reshape(x.shape[0], x.shape[1], HEADS, -1).transpose(1, 2)
