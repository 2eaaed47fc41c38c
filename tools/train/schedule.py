"""What changes while training goes on: learning rate, sizes, and how much of the budget is used."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stream.frames import Size

RATE, LAST_RATE = 1.5e-3, 1e-5
WARM_UP_STEPS = 150
SMALL_UNTIL = 0.45
"""Share of the budget in which images are small: four times as many steps for the same time."""
HEAD_START = 0.02
"""The larger views are drawn by so much of the budget before they are needed."""
SMALL = (Size(96, 128),) * 3 + (Size(96, 96), Size(128, 96), Size(64, 128), Size(96, 160))
LARGE = (
    *((Size(192, 256),) * 4 + (Size(128, 160),) * 3),
    *(Size(160, 256), Size(128, 256), Size(256, 192), Size(192, 192), Size(160, 192), Size(128, 192)),
)
"""What the product feeds (longest side 256), and 128x160 for a steady answer at other sizes."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Training ends after this much time, or after so many steps."""

    seconds: float
    steps: int | None = None

    def used(self, seconds: float, steps: int) -> float:
        """0 at the start, 1 at the end."""
        share = seconds / self.seconds if self.steps is None else steps / self.steps
        return min(1.0, share)


def learning_rate(steps: int, used: float, highest: float = RATE) -> float:
    """Up within 150 steps, then down a half cosine over the budget."""
    return highest * min(1.0, (steps + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * math.cos(math.pi * used)) + LAST_RATE


def image_size(rng: np.random.Generator, used: float, small_until: float = SMALL_UNTIL) -> Size:
    """This step's; small ones as long as less than ``small_until`` of the budget is used."""
    sizes = SMALL if used < small_until else LARGE
    return sizes[int(rng.integers(len(sizes)))]


def batch_size(size: Size, pixels: int) -> int:
    """As many images as have about ``pixels`` together, at least two: normalisation needs company."""
    return max(2, round(pixels / (size.height * size.width)))
