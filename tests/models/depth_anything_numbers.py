"""Numbers that are the same everywhere: parameters and images for networks whose answers were written down.

numpy promises that ``RandomState`` draws the same numbers for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

SIZE = (98, 70)
"""Height and width: neither square nor the trained 518, and an odd number of patches."""


def pixels() -> Tensor:
    """Two images (2, 3, 98, 70) of smooth structure and noise."""
    noise = np.random.RandomState(1).standard_normal((2, 3, *SIZE))
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] / 12
    return torch.from_numpy((np.sin(rows) * np.cos(columns) + 0.5 * noise).astype(np.float32))


def state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A value for each name, in their order, so that signals neither fade nor grow and the answer is not cut to 0."""
    draw = np.random.RandomState(0)
    return {name: torch.from_numpy(_values(name, shape, draw).astype(np.float32)) for name, shape in shapes.items()}


def _values(name: str, shape: tuple[int, ...], draw: np.random.RandomState) -> np.ndarray:
    if name.endswith("gamma") or (len(shape) == 1 and name.endswith("weight")):
        return draw.uniform(0.5, 1.5, shape)
    values = draw.standard_normal(shape)
    if name.endswith(("pos_embed", "cls_token")):
        return 0.5 * values
    if name.endswith("output_conv2.2.weight"):
        return 0.1 * np.abs(values)
    if len(shape) == 1:
        return 0.1 * values
    return values / np.sqrt(np.prod(shape[1:]))
