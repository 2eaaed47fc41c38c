"""The tours there are, chosen by a seed: even seeds are a town square, odd ones a living room."""

from __future__ import annotations

from stream.scenes.world.lounge import lounge
from stream.scenes.world.plaza import plaza
from stream.scenes.world.tour import Tour

TOURS = (plaza, lounge)


def tour(seed: int) -> Tour:
    """The same seed gives the same tour; seeds are not negative."""
    return TOURS[seed % len(TOURS)](seed)
