"""Seeded procedural patterns that tile seamlessly, from numpy and torch alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

Pattern: TypeAlias = NDArray[np.float32]
"""(side, side) float32 in 0..1: 0 is painted in the first colour of a texture, 1 in the second."""

OCTAVE_RATIO = 2
"""Cells per side of an octave, relative to the octave before."""
GLYPH = (7, 4)
"""Height and width of a letter-like glyph in cells, including the gaps to the next line and glyph."""
APRON = 2
"""Cells beyond the edge that bicubic interpolation reads."""


def noise(rng: np.random.Generator, side: int, octaves: int = 6, persistence: float = 0.55, first: int = 1) -> Pattern:
    """Value noise: the sum of random grids of 2^first, 2^(first + 1), ... cells a side.

    Each octave is ``persistence`` times as strong as the one before.
    """
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        cells = min(OCTAVE_RATIO ** (first + octave), side)
        total += persistence**octave * _enlarged(rng.random((cells, cells), dtype=np.float32), side)
    return _normalised(total)


def stripes(rng: np.random.Generator, side: int, count: int = 6, wobble: float = 0.0, duty: float = 0.5) -> Pattern:
    """Upright stripes, bent by ``wobble`` radians of their period; ``duty`` is the share of the dark ones."""
    bend = wobble * noise(rng, side, 4)
    wave = np.sin(2 * np.pi * count * _ramp(side)[None] + bend)
    return _soft_step(wave - np.cos(np.pi * (1 - duty)), 8.0 * count / side)


def grain(rng: np.random.Generator, side: int, count: int = 4, wobble: float = 5.0) -> Pattern:
    """Wood grain: soft bent lines along the first axis."""
    return _normalised(np.sin(2 * np.pi * count * _ramp(side)[None] + wobble * _streaks(rng, side)))


def planks(rng: np.random.Generator, side: int, count: int = 4, joint: float = 0.04) -> Pattern:
    """Boards side by side, each with its own shade, fine streaks and dark joints."""
    place = _ramp(side) * count
    shade = rng.uniform(0.45, 1.0, count).astype(np.float32)[place.astype(int)][None]
    return np.asarray(shade * (0.7 + 0.3 * _streaks(rng, side)) * (place % 1 > joint)[None], np.float32)


def checks(rng: np.random.Generator, side: int, count: int = 2) -> Pattern:
    """A chess board of ``2 * count`` fields per side."""
    field = np.floor(_ramp(side) * 2 * count)
    return np.asarray((field[:, None] + field[None]) % 2, np.float32)


def tiles(rng: np.random.Generator, side: int, count: int = 4, joint: float = 0.05, uneven: float = 0.3) -> Pattern:
    """Square tiles with dark joints, each with its own shade."""
    place = _ramp(side) * count
    shade = 1 - uneven * rng.random((count, count), dtype=np.float32)
    inside = place % 1 > joint
    cell = place.astype(int)
    return np.asarray(shade[cell[:, None], cell[None]] * inside[:, None] * inside[None], np.float32)


def bricks(rng: np.random.Generator, side: int, rows: int = 8, joint: float = 0.1, uneven: float = 0.35) -> Pattern:
    """A running bond: bricks twice as long as high, every other row shifted by half a brick. ``rows`` must be even."""
    place = _ramp(side)
    row = np.floor(place * rows).astype(int)[:, None]
    across = place[None] * rows / 2 + 0.5 * (row % 2)
    shade = 1 - uneven * rng.random((rows, rows // 2), dtype=np.float32)
    inside = (across % 1 > joint / 2) & ((place * rows % 1)[:, None] > joint)
    return np.asarray(shade[row, np.floor(across).astype(int) % (rows // 2)] * inside, np.float32)


def gradient(rng: np.random.Generator, side: int, upright: bool = True) -> Pattern:
    """A ramp from 0 in the middle to 1 at both edges, so that it tiles."""
    ramp = np.abs(2 * _ramp(side) - 1)
    return np.array(np.broadcast_to(ramp[:, None] if upright else ramp[None], (side, side)), np.float32)


def blobs(rng: np.random.Generator, side: int, size: int = 3, level: float = 0.5) -> Pattern:
    """Rounded blobs: smooth noise thresholded at ``level``."""
    return _soft_step(noise(rng, side, 2, 0.6, size) - np.float32(level), 0.08)


def writing(rng: np.random.Generator, side: int, lines: int = 8) -> Pattern:
    """Print-like text: words of small blocky glyphs in lines of uneven length; 0 is paper, 1 is ink."""
    columns, (high, wide) = 2 * lines, GLYPH
    ink = rng.random((lines, high, columns, wide)) < 0.55
    ink[:, -2:], ink[..., -1] = False, False  # gaps between lines and between glyphs
    words = rng.random((lines, columns)) > 0.18
    words &= np.arange(columns) < columns * rng.uniform(0.4, 1.0, (lines, 1))
    grid = (ink & words[:, None, :, None]).reshape(lines * high, columns * wide)
    row, column = (np.floor(_ramp(side) * cells).astype(int) for cells in grid.shape)
    return np.asarray(grid[row[:, None], column[None]], np.float32)


def plain(rng: np.random.Generator, side: int) -> Pattern:
    """A single colour."""
    return np.zeros((side, side), np.float32)


def windows(rng: np.random.Generator, side: int, width: float = 0.42, height: float = 0.55) -> Pattern:
    """A house front with one window per repeat: 0 glass, 0.35 sill and shadow, 0.6..0.75 wall, 1 frame."""
    x, y = np.abs(_ramp(side)[None] - 0.5), np.abs(_ramp(side)[:, None] - 0.5)
    wall = 0.6 + 0.15 * noise(rng, side, 5, 0.8, 2)
    frame = (x < width / 2) & (y < height / 2)
    edge = 0.035
    glass = (x < width / 2 - edge) & (y < height / 2 - edge) & (x > edge / 2) & (np.abs(y - 0.06) > edge / 2)
    sill = (x < width / 2 + edge) & (_ramp(side)[:, None] - 0.5 - height / 2 < edge) & (_ramp(side)[:, None] > 0.5)
    pattern = np.where(sill, 0.35, wall)
    pattern = np.where(frame, 1.0, pattern)
    return np.asarray(np.where(glass, 0.0, pattern), np.float32)


PATTERNS: dict[str, Callable[[np.random.Generator, int], Pattern]] = {
    "noise": lambda rng, side: noise(
        rng, side, int(rng.integers(3, 8)), rng.uniform(0.4, 0.95), int(rng.integers(1, 4))
    ),
    "stripes": lambda rng, side: stripes(rng, side, int(rng.integers(1, 16)), rng.uniform(0, 3), rng.uniform(0.2, 0.8)),
    "grain": lambda rng, side: grain(rng, side, int(rng.integers(1, 8)), rng.uniform(1, 8)),
    "planks": lambda rng, side: planks(rng, side, int(rng.integers(2, 8))),
    "checks": lambda rng, side: checks(rng, side, int(rng.integers(1, 10))),
    "tiles": lambda rng, side: tiles(rng, side, int(rng.integers(1, 8)), rng.uniform(0.02, 0.1), rng.uniform(0, 0.6)),
    "bricks": lambda rng, side: bricks(rng, side, 2 * int(rng.integers(1, 6)), rng.uniform(0.04, 0.14)),
    "gradient": lambda rng, side: gradient(rng, side, bool(rng.random() < 0.5)),
    "blobs": lambda rng, side: blobs(rng, side, int(rng.integers(2, 6)), rng.uniform(0.35, 0.65)),
    "writing": lambda rng, side: writing(rng, side, int(rng.integers(3, 12))),
    "plain": plain,
}
"""Name -> function that draws the pattern with random parameters."""


def _enlarged(grid: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Resize a grid to (side, side) by periodic bicubic interpolation, so that the result tiles."""
    cells = grid.shape[0]
    padded = torch.from_numpy(np.pad(grid, APRON, mode="wrap"))[None, None]
    scale = side // cells
    large = interpolate(padded, scale_factor=float(scale), mode="bicubic", align_corners=False)[0, 0].numpy()
    cut = APRON * scale
    return np.asarray(large[cut : cut + side, cut : cut + side], np.float32)


def _streaks(rng: np.random.Generator, side: int) -> Pattern:
    """Noise stretched along the first axis."""
    fine = noise(rng, side, 6, 0.8, 2)
    return _normalised(np.repeat(fine[:: side // 8], side // 8, axis=0) * 0.3 + 0.7 * fine.mean(0)[None])


def _ramp(side: int) -> NDArray[np.float32]:
    """(side,): the centres of the texels, 0..1."""
    return np.asarray((np.arange(side) + 0.5) / side, np.float32)


def _normalised(values: NDArray[np.float32]) -> Pattern:
    """Scale values linearly to 0..1."""
    low, high = values.min(), values.max()
    return np.asarray((values - low) / max(high - low, 1e-6), np.float32)


def _soft_step(values: NDArray[np.float32], width: float) -> Pattern:
    """A linear step from 0 to 1, centred at 0 and ``width`` wide."""
    return np.asarray(np.clip(values / width + 0.5, 0, 1), np.float32)
