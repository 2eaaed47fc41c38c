"""What the keys of the preview window do, and the choices that the render stage reads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from stream.settings import RenderSettings

Action: TypeAlias = Literal["end", "colormap", "range", "freeze", "help"]
Range: TypeAlias = tuple[float, float]
"""Depths of the first and the last colour, as in ``View.low`` and ``View.high``."""

COLORMAPS: tuple[str, ...] = get_args(RenderSettings.model_fields["colormap"].annotation)
ESCAPE = 27
ACTIONS: Mapping[str, Action] = {
    "q": "end",
    chr(ESCAPE): "end",
    "c": "colormap",
    "r": "range",
    " ": "freeze",
    "h": "help",
}
KEY_BITS = 0xFFFF
"""GTK puts the modifiers (Num Lock, say) above these bits. Not 0xFF: the left arrow, 0xFF51, would become a Q."""


def action_for(code: int) -> Action | None:
    """What a key code of ``cv2.waitKeyEx`` asks for; capital letters count, too; None for every other key."""
    code &= KEY_BITS
    return ACTIONS.get(chr(code).lower()) if code < 128 else None


class ViewControls:
    """What was chosen at the window: changed by the main thread, read by the render stage before each picture."""

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

    def next_colormap(self) -> None:
        """The one after the present one, in the order of the settings; after the last one the first."""
        with self._lock:
            self._colormap = COLORMAPS[(COLORMAPS.index(self._colormap) + 1) % len(COLORMAPS)]

    def toggle_range(self, present: Mapping[str, Range]) -> None:
        """Hold each camera's ``present`` range, or let all follow the scene again if any is held."""
        with self._lock:
            self._frozen_range = MappingProxyType({} if self._frozen_range else dict(present))
