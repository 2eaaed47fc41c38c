"""Viewer-controlled colour map and frozen depth ranges; the render stage reads them before each image."""

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
    """Thread-safe: changed by the window's or the web server's threads, read by the render stage."""

    def __init__(self, colormap: str = COLORMAPS[0]) -> None:
        # Values are replaced as a whole, so that only writers need the lock.
        self._lock = threading.Lock()
        self._colormap = colormap
        self._frozen_ranges: Mapping[str, Range] = MappingProxyType({})

    @property
    def colormap(self) -> str:
        """Name of the colour map to paint with."""
        return self._colormap

    @property
    def frozen_ranges(self) -> Mapping[str, Range]:
        """Fixed ranges by camera; a camera that is missing here is painted with the range that follows its scene."""
        return self._frozen_ranges

    def choose_colormap(self, name: str) -> None:
        """Paint with one of COLORMAPS from now on. Raises ValueError for any other name."""
        if name not in COLORMAPS:
            raise ValueError(f'no colour map "{name}": {", ".join(COLORMAPS)}')
        with self._lock:
            self._colormap = name

    def next_colormap(self) -> None:
        """Switch to the colour map after the current one, in the order of the settings; the first follows the last."""
        with self._lock:
            self._colormap = COLORMAPS[(COLORMAPS.index(self._colormap) + 1) % len(COLORMAPS)]

    def freeze_ranges(self, current: Mapping[str, Range]) -> None:
        """Paint each camera with its ``current`` range from now on; an empty mapping unfreezes all cameras."""
        with self._lock:
            self._frozen_ranges = MappingProxyType(dict(current))

    def release(self, camera: str) -> None:
        """Unfreeze one camera, which has gone."""
        with self._lock:
            others = {name: limits for name, limits in self._frozen_ranges.items() if name != camera}
            self._frozen_ranges = MappingProxyType(others)

    def toggle_frozen_ranges(self, current: Mapping[str, Range]) -> None:
        """Unfreeze all cameras if any is frozen, else freeze each at its ``current`` range."""
        with self._lock:
            self._frozen_ranges = MappingProxyType({} if self._frozen_ranges else dict(current))
