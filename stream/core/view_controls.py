"""What somebody who looks has chosen: colours, and a range to hold; the render stage reads it before each image."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias, get_args

from stream.settings import RenderSettings

Range: TypeAlias = tuple[float, float]
"""Depths of the first and the last colour, as in ``View.low`` and ``View.high``."""

COLORMAPS: tuple[str, ...] = get_args(RenderSettings.model_fields["colormap"].annotation)


class ViewControls:
    """Changed by any thread, the window's or the web server's."""

    def __init__(self, colormap: str = COLORMAPS[0]) -> None:
        self._lock = threading.Lock()
        self._colormap = colormap
        self._frozen_range: Mapping[str, Range] = MappingProxyType({})

    @property
    def colormap(self) -> str:
        """The colour map to paint with."""
        return self._colormap

    @property
    def frozen_range(self) -> Mapping[str, Range]:
        """By camera, the range to paint with in place of the one that follows the scene; empty: all follow."""
        return self._frozen_range

    def choose_colormap(self, name: str) -> None:
        """One of COLORMAPS; ValueError for any other."""
        if name not in COLORMAPS:
            raise ValueError(f'no colour map "{name}": {", ".join(COLORMAPS)}')
        with self._lock:
            self._colormap = name

    def hold_range(self, present: Mapping[str, Range]) -> None:
        """Paint each camera with its ``present`` range from now on; empty: let all follow the scene."""
        with self._lock:
            self._frozen_range = MappingProxyType(dict(present))

    def next_colormap(self) -> None:
        """The one after the present one, in the order of the settings; after the last one the first."""
        with self._lock:
            self._colormap = COLORMAPS[(COLORMAPS.index(self._colormap) + 1) % len(COLORMAPS)]

    def toggle_range(self, present: Mapping[str, Range]) -> None:
        """Hold each camera's ``present`` range, or let all follow the scene again if any is held."""
        with self._lock:
            self._frozen_range = MappingProxyType({} if self._frozen_range else dict(present))
