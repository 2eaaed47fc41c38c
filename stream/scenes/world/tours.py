"""The built-in tours: even seeds give a town square, odd ones a living room."""

from __future__ import annotations

from stream.scenes.world.lounge import lounge
from stream.scenes.world.plaza import plaza
from stream.scenes.world.tour import Tour

TOURS = (plaza, lounge)


def tour(seed: int) -> Tour:
    """The tour of a seed, which must not be negative; the same seed always gives the same tour."""
    return TOURS[seed % len(TOURS)](seed)
