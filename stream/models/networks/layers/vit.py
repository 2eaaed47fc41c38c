"""Parts of DINOv2's vision transformer (Oquab et al., 2023), shared by the networks that are built on it.

Parameters have the names of the official checkpoints.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-6
MLP_RATIO = 4
TRAINED_GRID = 37
"""Patches along each side of DINOv2's training images: 518 / 14 pixels."""
OFFSET = 0.1
"""DINOv2 adds this to the grid's sides before it resizes positions, so that rounding cannot lose a patch. It moves
every sample point by up to 0.1 / h, and the networks were trained that way."""


class LayerScale(nn.Module):
    """One learnt factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Attention(nn.Module):
    """Multi-head self-attention: (N, T, width) -> (N, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        head_width = width // self.heads
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, head_width).permute(2, 0, 3, 1, 4).unbind(0)
        if torch.compiler.is_compiling():
            # for export: the fused operation becomes ONNX with guards against NaN, which TensorRT does not fuse
            attended = torch.softmax((q * head_width**-0.5) @ k.transpose(-2, -1), dim=-1) @ v
        else:
            attended = functional.scaled_dot_product_attention(q, k, v)
        mixed: Tensor = self.proj(attended.transpose(1, 2).reshape(n, tokens, width))
        return mixed


class Mlp(nn.Module):
    """Two linear layers with GELU between them, applied to each token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, MLP_RATIO * width), nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return mixed


class Block(nn.Module):
    """One transformer block: (N, T, width) -> (N, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=NORM_EPS), Attention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=NORM_EPS), Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        mixed: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return mixed


class PatchEmbed(nn.Module):
    """Cuts an image into tokens: (N, 3, h, w) -> (N, h / patch * w / patch, width), row by row."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens: Tensor = self.proj(pixels).flatten(2).transpose(1, 2)
        return tokens


def grid_of(pixels: Tensor, patch: int) -> tuple[int, int]:
    """Numbers of patches along the height and the width of (N, C, h, w) ``pixels``, plain integers even in a trace.

    A trace then holds for one size only, and its positions are constants. That is intended, so the tracer's warning
    about it is suppressed.
    """
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch.jit is not annotated
        return pixels.shape[-2] // patch, pixels.shape[-1] // patch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        return int(pixels.shape[-2]) // patch, int(pixels.shape[-1]) // patch


def resized_positions(learnt: Tensor, height: int, width: int) -> Tensor:
    """Position embeddings (1, 1 + 37 * 37, C) for a grid of ``height`` x ``width`` patches: (1, 1 + h * w, C)."""
    if height == width == TRAINED_GRID:
        return learnt
    full = learnt.float()
    grid = full[:, 1:].reshape(1, TRAINED_GRID, TRAINED_GRID, -1).permute(0, 3, 1, 2)
    factors = tuple((side + OFFSET) / TRAINED_GRID for side in (height, width))
    # By factor: ``size=`` would ignore the offset, as transformers does, whose depth differs slightly.
    grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
    patches = grid.permute(0, 2, 3, 1).reshape(1, height * width, -1)
    return torch.cat((full[:, :1], patches), 1).to(learnt.dtype)


def as_grid(tokens: Tensor, height: int, width: int) -> Tensor:
    """Reshape tokens (N, h * w, C) to features (N, C, h, w)."""
    return torch.unflatten(tokens.transpose(1, 2), 2, (height, width))
