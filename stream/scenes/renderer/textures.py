"""A texture atlas: square textures that tile, each with all its mip levels, in linear colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from stream.scenes.renderer.patterns import PATTERNS, Pattern, noise
from stream.scenes.renderer.primitives import Colour

SIDE = 128
"""Texels per side; a power of two."""
GAMMA = 2.0
"""Exponent from displayed colours to linear light: the square is cheap and within 3% of sRGB's curve."""
DARKEST = 0.01
"""Displayed colours are at least this bright."""


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """``count`` square textures of one size, on one device."""

    texels: Tensor
    """(3, T) float32, linear red, green, blue: level by level, texture by texture, row by row."""
    side: int
    """Texels per side of the finest level; a power of two."""
    count: int
    """Number of textures."""

    @property
    def levels(self) -> int:
        """Number of mip levels, down to one texel."""
        return self.side.bit_length()

    def to(self, device: torch.device | str) -> Atlas:
        return Atlas(self.texels.to(device), self.side, self.count)

    def mean(self, texture: Tensor) -> Tensor:
        """The mean colours (3, *) of textures (*) int32, which are their last level."""
        return self._texels(texture + (self.texels.shape[1] - self.count))

    def sample(self, texture: Tensor, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
        """Trilinear (3, *) from textures (*) int32, u and v (*) in repeats, and fractional levels (*), 0 = finest."""
        level = level.clamp(0, self.levels - 1)
        whole = level.floor()
        fine = self._bilinear(texture, u, v, whole.int())
        coarse = self._bilinear(texture, u, v, (whole + 1).clamp_max(self.levels - 1).int())
        return torch.lerp(fine, coarse, level - whole)

    def sample_finest(self, texture: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Sample the finest level bilinearly, for textures that are never minified."""
        return self._bilinear(texture, u, v, torch.zeros_like(texture))

    def _bilinear(self, texture: Tensor, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
        starts, sides = self._starts_and_sides(level.device)
        side = sides.index_select(0, level.flatten()).view_as(level)
        base = starts.index_select(0, level.flatten()).view_as(level) + texture * side * side
        x, y = u * side - 0.5, v * side - 0.5  # texel centres lie at halves
        left, top = x.floor(), y.floor()
        last = side - 1
        column, row = left.int() & last, top.int() & last  # a side is a power of two: the mask is the modulo
        next_column, next_row = (column + 1) & last, base + ((row + 1) & last) * side
        row = base + row * side
        across = x - left
        upper = torch.lerp(self._texels(row + column), self._texels(row + next_column), across)
        lower = torch.lerp(self._texels(next_row + column), self._texels(next_row + next_column), across)
        return torch.lerp(upper, lower, y - top)

    def _starts_and_sides(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Each level's first texel, which follows count * side^2 texels of each finer level, and its side length."""
        sides = [self.side >> level for level in range(self.levels)]
        starts = [self.count * sum(side * side for side in sides[:level]) for level in range(self.levels)]
        both = torch.tensor([starts, sides], dtype=torch.int32, device=device)
        return both[0], both[1]

    def _texels(self, index: Tensor) -> Tensor:
        return self.texels.index_select(1, index.reshape(-1)).view(3, *index.shape)


def painted(pattern: Pattern, dark: Colour, bright: Colour) -> NDArray[np.float32]:
    """Colour a pattern: a texture (side, side, 3) with displayed (not linear) colours for the pattern's 0 and 1."""
    low, high = np.array(dark, np.float32), np.array(bright, np.float32)
    return low + (high - low) * pattern[..., None]


def atlas_of(textures: Sequence[NDArray[np.float32]]) -> Atlas:
    """Build an atlas with mip levels from textures (side, side, 3) float32, displayed colours in 0..1."""
    stack = np.clip(np.stack(textures), DARKEST, 1) ** GAMMA
    level = torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous()
    flat = [_flat(level)]
    while level.shape[-1] > 1:
        level = avg_pool2d(level, 2)
        flat.append(_flat(level))
    return Atlas(torch.cat(flat, dim=1), stack.shape[1], len(textures))


def random_atlas(seed: int, count: int, side: int = SIDE) -> Atlas:
    """Random patterns in random colours; the same seed gives the same atlas."""
    rng = np.random.default_rng(seed)
    return atlas_of([random_texture(rng, side) for _ in range(count)])


def random_texture(rng: np.random.Generator, side: int = SIDE) -> NDArray[np.float32]:
    """(side, side, 3) float32, displayed colours in 0..1: a pattern in two colours, roughened and stained by noise."""
    dark, bright = random_colour(rng), random_colour(rng)
    if rng.random() < 0.5:
        bright = dark * rng.uniform(0.4, 1.5) + rng.normal(0, 0.06, 3)
    pattern = PATTERNS[str(rng.choice(list(PATTERNS)))](rng, side)
    texture = dark + (bright - dark) * pattern[..., None]
    texture = texture + rng.uniform(0, 0.25) * (noise(rng, side, 6, rng.uniform(0.5, 1.0), 2)[..., None] - 0.5)
    if rng.random() < 0.3:
        texture = texture * (0.6 + 0.4 * noise(rng, side, 3, 0.6, 1)[..., None])
    return np.clip(texture, 0, 1).astype(np.float32)


def random_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """A displayed colour (3,) in 0.03..1: near grey in 45 of 100 cases, else any hue, mostly pale."""
    if rng.random() < 0.45:
        colour = rng.random() + rng.normal(0, 0.05, 3)
    else:
        value, saturation = rng.uniform(0.16, 1.0), 0.86 * rng.random() ** 1.3
        hue = 0.5 + 0.5 * np.cos(2 * np.pi * (rng.random() + np.array([0, 1, 2]) / 3))
        colour = value * (1 - saturation * hue)
    return np.asarray(np.clip(colour, 0.03, 1))


def _flat(level: Tensor) -> Tensor:
    """(count, 3, side, side) -> (3, count * side^2)."""
    return level.permute(1, 0, 2, 3).reshape(3, -1)
