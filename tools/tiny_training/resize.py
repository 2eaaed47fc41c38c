"""Pictures made smaller as the product makes them: every output pixel is the mean of the area it covers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stream.frames import Size


def shrunk(pictures: Tensor, size: Size) -> Tensor:
    """(B, C, H, W) float -> (B, C, h, w), as OpenCV's INTER_AREA, which InputSpec calls "area"; larger: bilinear."""
    H, W = pictures.shape[-2:]
    if tuple(size) == (H, W):
        return pictures
    if size.height > H or size.width > W:
        return interpolate(pictures, tuple(size), mode="bilinear", align_corners=False)
    rows, columns = (_shares(a, b, pictures) for a, b in ((H, size.height), (W, size.width)))
    return rows @ pictures @ columns.T


def nearest(values: Tensor, size: Size) -> Tensor:
    """(B, H, W) -> (B, h, w) without mixing near and far: depth between two surfaces would be true of neither."""
    return interpolate(values[:, None], tuple(size), mode="nearest-exact")[:, 0]


def _shares(long: int, short: int, like: Tensor) -> Tensor:
    """(short, long): the share of each input pixel in each output pixel; rows sum to 1."""
    edges = torch.arange(short + 1, dtype=torch.float64) * long / short
    start = torch.arange(long, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], start + 1) - torch.maximum(edges[:-1, None], start)
    return (overlap.clamp_min(0) * short / long).to(like)
