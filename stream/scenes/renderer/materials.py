"""What a surface looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Colour: TypeAlias = tuple[float, float, float]
"""Linear red, green, blue; 1 is a white wall or a light of unit strength."""

WHITE: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Material:
    """A texture of the atlas and how it is laid on."""

    texture: int
    """Number in the atlas."""
    repeats_per_m: float = 1.0
    tint: Colour = WHITE
    """Multiplies the texture."""
    contrast: float = 1.0
    """0: only the texture's mean colour; 1: the texture as painted."""
    gloss: float = 0.0
    """Strength of the sun's highlight."""
