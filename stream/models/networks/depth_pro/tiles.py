"""How Depth Pro splits an image into overlapping tiles and merges their features again.

Source: ``split`` and ``merge`` in apple/ml-depth-pro, network/encoder.py. There tiles overlap by a quarter or a half of
their side, and features are cropped by 3 or 6 tokens; here both numbers follow from the number of tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tiling:
    """Evenly spaced square tiles that cover a square image, numbered row by row."""

    steps: int
    """Tiles along each side."""
    tiles_long: int
    """The image's side, in tiles."""

    @property
    def count(self) -> int:
        return self.steps**2

    def split(self, pixels: Tensor) -> Tensor:
        """(N, C, side, side) -> tiles (count, N, C, T, T)."""
        side = pixels.shape[-1]
        tile = side // self.tiles_long
        spans = [slice(start, start + tile) for start in self._starts(side - tile)]
        strips = torch.stack([pixels[..., span, :] for span in spans])
        return torch.stack([strips[..., span] for span in spans], 1).flatten(0, 1)

    def merge(self, tiles: Tensor) -> Tensor:
        """Features of the tiles (count, N, C, G, G) -> features of the image (N, C, side, side).

        Where two tiles overlap, each contributes its half of the overlap.
        """
        kept = self._kept(tiles.shape[-1])
        grid = tiles.reshape(self.steps, self.steps, *tiles.shape[1:])
        strips = torch.cat([grid[:, index, ..., span] for index, span in enumerate(kept)], -1)
        return torch.cat([strips[index, ..., span, :] for index, span in enumerate(kept)], -2)

    def _starts(self, last: int) -> list[int]:
        """Start of each tile along a side: evenly spaced from 0 to ``last``."""
        return [index * last // (self.steps - 1) for index in range(self.steps)]

    def _kept(self, grid: int) -> list[slice]:
        """The tokens that each tile along a side keeps: half of every overlap, and everything at the image's edges."""
        half = grid * (self.steps - self.tiles_long) // (self.steps - 1) // 2
        last = self.steps - 1
        return [slice(half if i else 0, grid - half if i < last else grid) for i in range(self.steps)]


FINE = Tiling(steps=5, tiles_long=4)
"""For the image at full size: tiles overlap by a quarter of their side."""
COARSE = Tiling(steps=3, tiles_long=2)
"""For the image at half size: tiles overlap by half of their side."""
