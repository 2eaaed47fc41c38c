"""How Depth Pro cuts an image into overlapping tiles, and lays what it saw of them side by side again.

Source: ``split`` and ``merge`` in apple/ml-depth-pro, network/encoder.py, where tiles overlap by a quarter or a half of
their side and by 3 or 6 tokens are made smaller; here both follow from how many tiles there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tiling:
    """Square tiles at even distances that cover a square image, numbered row by row."""

    steps: int
    """Tiles along each side."""
    tiles_long: int
    """The image's side, in tiles."""

    @property
    def count(self) -> int:
        return self.steps**2

    def cut(self, pixels: Tensor) -> Tensor:
        """(N, C, side, side) -> tiles (count, N, C, T, T)."""
        side = pixels.shape[-1]
        tile = side // self.tiles_long
        spans = [slice(start, start + tile) for start in self._starts(side - tile)]
        strips = torch.stack([pixels[..., span, :] for span in spans])
        return torch.stack([strips[..., span] for span in spans], 1).flatten(0, 1)

    def merge(self, tiles: Tensor) -> Tensor:
        """Tokens of the tiles (count, N, C, G, G) -> of the image (N, C, side, side).

        Where tiles overlap, each gives up half of the overlap.
        """
        kept = self._kept(tiles.shape[-1])
        grid = tiles.reshape(self.steps, self.steps, *tiles.shape[1:])
        strips = torch.cat([grid[:, number, ..., span] for number, span in enumerate(kept)], -1)
        return torch.cat([strips[number, ..., span, :] for number, span in enumerate(kept)], -2)

    def _starts(self, last: int) -> list[int]:
        """Where tiles start along a side: evenly from 0 to ``last``."""
        return [number * last // (self.steps - 1) for number in range(self.steps)]

    def _kept(self, grid: int) -> list[slice]:
        """Of each tile along a side, the tokens that are kept; only the image's edges are kept as they are."""
        half = grid * (self.steps - self.tiles_long) // (self.steps - 1) // 2
        last = self.steps - 1
        return [slice(half if i else 0, grid - half if i < last else grid) for i in range(self.steps)]


FINE = Tiling(steps=5, tiles_long=4)
"""Of the whole image: tiles overlap by a quarter of their side."""
COARSE = Tiling(steps=3, tiles_long=2)
"""Of the image at half its size: tiles overlap by half of their side."""
