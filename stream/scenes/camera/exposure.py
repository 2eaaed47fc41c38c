"""From linear light to an image: exposure, tone curve, lens softness, sensor grain and 8-bit rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from stream.frames import Size
from stream.scenes.scene import Scene

MIDDLE = 0.4
"""Mean linear light after automatic exposure."""
GRAIN_MARGIN = 61
"""Pixels by which the grain pattern is larger than the image, so that each frame can show another part."""


def develop(light: Tensor, scenes: Sequence[Scene], softness: float = 0.0) -> Tensor:
    """Expose and tone-map (B, 3, H, W) linear light to displayed red, green, blue in 0..1.

    ``softness`` is the share of a pixel's light that each neighbour in its row, and then in its column, receives.
    """
    gain = light.new_tensor([scene.light.exposure or 0 for scene in scenes])
    automatic = MIDDLE / light.mean((1, 2, 3)).clamp_min(1e-3)
    exposed = light * torch.where(gain > 0, gain, automatic)[:, None, None, None]
    # the exponential gives highlights a soft shoulder; the root undoes the gamma of 2 in the atlas
    displayed = (1 - torch.exp(-1.6 * exposed)).clamp_min(0).sqrt()
    return _softened(displayed, softness) if softness else displayed


def to_bgr(displayed: Tensor, grain: Tensor | None = None) -> Tensor:
    """(B, 3, H, W) in 0..1 -> (B, H, W, 3) uint8 BGR, contiguous, with ``grain`` (H, W, 3) in 8-bit steps added."""
    scaled = displayed.flip(1).permute(0, 2, 3, 1) * 255 + 0.5
    if grain is not None:
        scaled = scaled + grain
    return scaled.clamp(0, 255).to(torch.uint8).contiguous()


class Grain:
    """Seeded sensor noise: one fixed pattern, of which each frame shows a different part."""

    def __init__(self, seed: int, size: Size, strength: float) -> None:
        """``strength`` is the standard deviation in 8-bit steps."""
        rng = np.random.default_rng(seed)
        shape = (size.height + GRAIN_MARGIN, size.width + GRAIN_MARGIN, 3)
        self._pattern = torch.from_numpy(rng.standard_normal(shape, np.float32) * np.float32(strength))
        self._size, self._seed = size, seed

    def of_frame(self, seq: int) -> Tensor:
        """(H, W, 3) float32 in 8-bit steps; the same seed and ``seq`` give the same grain."""
        top, left = np.random.default_rng((self._seed, seq)).integers(0, GRAIN_MARGIN, 2)
        return self._pattern[top : top + self._size.height, left : left + self._size.width]


def _softened(image: Tensor, share: float) -> Tensor:
    """Mix each pixel with its neighbours, rows first; edges are repeated."""
    rows = pad(image, (1, 1, 0, 0), mode="replicate")
    image = torch.lerp(image, (rows[..., :-2] + rows[..., 2:]) / 2, 2 * share)
    columns = pad(image, (0, 0, 1, 1), mode="replicate")
    return torch.lerp(image, (columns[..., :-2, :] + columns[..., 2:, :]) / 2, 2 * share)
