"""The schedule of a training: its budget, and the learning rate and image sizes over the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stream.frames import Size

RATE, LAST_RATE = 1.5e-3, 1e-5
"""Highest and last learning rate."""
WARM_UP_STEPS = 150
"""Steps in which the learning rate rises linearly."""
SMALL_UNTIL = 0.45
"""Share of the budget in which images are small, which allows four times as many steps in the same time."""
HEAD_START = 0.02
"""Share of the budget by which larger views are rendered before they are needed."""
SMALL = (Size(96, 128),) * 3 + (Size(96, 96), Size(128, 96), Size(64, 128), Size(96, 160))
LARGE = (
    *((Size(192, 256),) * 4 + (Size(128, 160),) * 3),
    *(Size(160, 256), Size(128, 256), Size(256, 192), Size(192, 192), Size(160, 192), Size(128, 192)),
)
"""The sizes that the product uses (longest side 256), and 128x160 for stable predictions at other sizes.

Sizes are listed as often as their share of the steps."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The length of a training, in seconds or in steps."""

    seconds: float
    """Used if ``steps`` is None."""
    steps: int | None = None

    def used(self, seconds: float, steps: int) -> float:
        """The share of the budget used after that time and number of steps: 0 at the start, 1 at the end."""
        share = seconds / self.seconds if self.steps is None else steps / self.steps
        return min(1.0, share)


def learning_rate(steps: int, used: float, highest: float = RATE) -> float:
    """The learning rate: up within 150 steps, then down half a cosine over the budget."""
    return highest * min(1.0, (steps + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * math.cos(math.pi * used)) + LAST_RATE


def image_size(rng: np.random.Generator, used: float, small_until: float = SMALL_UNTIL) -> Size:
    """Draw the image size of a step; it is small while less than ``small_until`` of the budget is used."""
    sizes = SMALL if used < small_until else LARGE
    return sizes[int(rng.integers(len(sizes)))]


def batch_size(size: Size, pixels: int) -> int:
    """Images per batch, about ``pixels`` in total; at least two, because batch normalisation needs several."""
    return max(2, round(pixels / (size.height * size.width)))
