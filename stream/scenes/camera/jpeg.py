"""What JPEG does to an image, without a file: blocks of 8 x 8, their cosine transform, rounded to a table's steps.

ITU-T T.81: the transform in A.3.3, the example tables in annex K.1; the meaning of ``quality`` is libjpeg's
(jcparam.c, jpeg_quality_scaling); colours by JFIF 1.02, with halved colour resolution (4:2:0). The lossless half of the
format changes no pixel and is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

BLOCK = 8

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
    """(B, 3, H, W) RGB in 0..1 as it comes back from files of ``quality`` (B,) 1..100; not rounded to 8 bits."""
    H, W = image.shape[-2:]
    padded = pad(image, (0, -W % (2 * BLOCK), 0, -H % (2 * BLOCK)), mode="replicate")
    colours = _recoloured(padded * 255, TO_YCC)
    luminance, chrominance = colours[:, :1], colours[:, 1:]
    luminance = _rounded(luminance - 128, _table(LUMINANCE, quality)) + 128
    chrominance = _rounded(avg_pool2d(chrominance, 2), _table(CHROMINANCE, quality))
    chrominance = interpolate(chrominance, scale_factor=2.0, mode="bilinear", align_corners=False)
    restored = _recoloured(torch.cat([luminance, chrominance], dim=1), TO_RGB)
    return (restored[..., :H, :W] / 255).clamp(0, 1)


def _table(base: tuple[int, ...], quality: Tensor) -> Tensor:
    """(B, 8, 8) steps, 1..255."""
    scale = torch.where(quality < 50, 5000 / quality.clamp_min(1), 200 - 2 * quality)
    steps = torch.tensor(base, dtype=torch.float32, device=quality.device).view(BLOCK, BLOCK)
    return ((steps * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def _rounded(planes: Tensor, steps: Tensor) -> Tensor:
    """(B, C, H, W), sides multiples of 8: each block's coefficients rounded to multiples of ``steps`` (B, 8, 8)."""
    B, C, H, W = planes.shape
    cosines = _cosines(planes.device)
    blocks = planes.view(B, C, H // BLOCK, BLOCK, W // BLOCK, BLOCK).transpose(3, 4)
    grid = steps[:, None, None, None]
    coefficients = (cosines @ blocks @ cosines.T / grid).round() * grid
    return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(B, C, H, W)


def _cosines(device: torch.device) -> Tensor:
    """(8, 8): orthonormal; row k is the cosine of k half periods."""
    place = torch.arange(BLOCK, dtype=torch.float32, device=device)
    waves = torch.cos(math.pi / BLOCK * (place + 0.5) * place[:, None]) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def _recoloured(image: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", image.new_tensor(matrix), image)
