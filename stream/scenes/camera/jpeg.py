"""JPEG's loss without a file: 8 x 8 blocks, their cosine transform, coefficients rounded to the steps of a table.

The transform is ITU-T T.81 A.3.3 and the tables are its examples in annex K.1; ``quality`` has libjpeg's meaning
(jcparam.c, jpeg_quality_scaling); colours follow JFIF 1.02 at half resolution (4:2:0). The entropy coding is lossless,
so it is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

BLOCK = 8
"""Pixels per side of a block."""

LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
"""Table K.1, row by row."""
CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
"""Table K.2."""
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def compressed(image: Tensor, quality: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in 0..1 after JPEG of ``quality`` (B,) 1..100 and back; not rounded to 8 bits."""
    H, W = image.shape[-2:]
    # twice the block, so that the halved colour planes consist of whole blocks as well
    padded = pad(image, (0, -W % (2 * BLOCK), 0, -H % (2 * BLOCK)), mode="replicate")
    colours = _converted(padded * 255, TO_YCC)
    luminance, chrominance = colours[:, :1], colours[:, 1:]
    luminance = _quantised(luminance - 128, _quantisation_steps(LUMINANCE, quality)) + 128
    chrominance = _quantised(avg_pool2d(chrominance, 2), _quantisation_steps(CHROMINANCE, quality))
    chrominance = interpolate(chrominance, scale_factor=2.0, mode="bilinear", align_corners=False)
    restored = _converted(torch.cat([luminance, chrominance], dim=1), TO_RGB)
    return (restored[..., :H, :W] / 255).clamp(0, 1)


def _quantisation_steps(base: tuple[int, ...], quality: Tensor) -> Tensor:
    """(B, 8, 8) quantisation steps, 1..255, for ``quality`` (B,)."""
    scale = torch.where(quality < 50, 5000 / quality.clamp_min(1), 200 - 2 * quality)
    steps = torch.tensor(base, dtype=torch.float32, device=quality.device).view(BLOCK, BLOCK)
    return ((steps * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def _quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Round each block's coefficients to multiples of ``steps`` (B, 8, 8); planes (B, C, H, W) have sides of 8 * n."""
    B, C, H, W = planes.shape
    cosines = _cosines(planes.device)
    blocks = planes.view(B, C, H // BLOCK, BLOCK, W // BLOCK, BLOCK).transpose(3, 4)
    grid = steps[:, None, None, None]
    coefficients = (cosines @ blocks @ cosines.T / grid).round() * grid
    return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(B, C, H, W)


def _cosines(device: torch.device) -> Tensor:
    """(8, 8): the orthonormal cosine basis; row k has k half periods."""
    index = torch.arange(BLOCK, dtype=torch.float32, device=device)
    waves = torch.cos(math.pi / BLOCK * (index + 0.5) * index[:, None]) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def _converted(image: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", image.new_tensor(matrix), image)
