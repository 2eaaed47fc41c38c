"""The check of input sizes for networks that halve the image several times."""

from __future__ import annotations

import torch
from torch import Tensor


def require_multiples(pixels: Tensor, multiple: int) -> None:
    """Raises ValueError unless height and width of (N, C, h, w) ``pixels`` are multiples of ``multiple``.

    It does nothing during tracing: a trace cannot record a condition and would only warn about it.
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]  # torch.jit is public but not annotated
        return
    h, w = pixels.shape[-2:]
    if h % multiple or w % multiple or not h or not w:
        raise ValueError(f"width and height must be multiples of {multiple}, got {w}x{h}")
