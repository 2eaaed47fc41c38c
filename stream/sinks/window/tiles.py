"""One image out of many cameras: a tile each, the image beside its depth, what it is called above."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stream.core.clock import NS_PER_S
from stream.core.view_controls import Range
from stream.frames import Image, Size, View
from stream.sinks.window.layout import Layout, arrange, best_grid, panel_height, scaled

Row: TypeAlias = Callable[[Sequence[tuple[str, Image]]], Image]
"""Puts captioned images of one height beside each other: ``stream.render.panels.side_by_side``."""

EMPTY_ASPECT, EMPTY_PX = 8 / 3, 360
"""A tile without image: as two 4:3 images beside each other, and no higher than this."""
EMPTY_BGR = (48, 48, 48)
STALE_S = 2.0
"""After so long without a new image, its caption says that it is old."""


class Mosaic:
    """The newest view of each camera, drawn as tiles of one grid; what has not changed is not drawn again.

    ``cameras`` have their places from the start, others take one when their first view comes. A view whose image is
    not the size of its depth has been put together already (the demo's row with the true depth): it is shown alone.
    """

    def __init__(self, row: Row, cameras: Sequence[str] = ()) -> None:
        self._row = row
        self._views: dict[str, View | None] = dict.fromkeys(cameras)
        self._since_ns: dict[str, int] = {}
        self._tiles: dict[str, _Tile] = {}
        self._drawn: tuple[Layout, dict[str, _Tile], Image] | None = None

    def add(self, views: Mapping[str, View], now_ns: int) -> None:
        """Show these from now on."""
        self._views.update(views)
        self._since_ns.update(dict.fromkeys(views, now_ns))

    @property
    def ranges(self) -> dict[str, Range]:
        """By camera, the range of the view that is shown."""
        return {camera: (view.low, view.high) for camera, view in self._views.items() if view is not None}

    @property
    def shapes(self) -> tuple[object, ...]:
        """What the best size of the window depends on: the cameras, and the shapes of their images."""
        return tuple((camera, *(panel.shape for panel in _panels(view))) for camera, view in self._views.items())

    def draw(self, now_ns: int, layout: Layout, fixed: Container[str] = ()) -> Image:
        """(H, W, 3) uint8 BGR; the same object as before if nothing changed.

        ``fixed`` are the cameras whose colour range is held: their captions say so.
        """
        views = self._views or {"": None}
        columns, room = best_grid(len(views), max(map(_aspect, views.values())), layout.limit)
        for camera, view in views.items():
            look = view, self._captions(camera, view, now_ns, fixed), _height(view, room, layout.enlargement)
            if camera not in self._tiles or not self._tiles[camera].looks(*look):
                self._tiles[camera] = _Tile(*look, self._draw(*look))
        tiles = {camera: self._tiles[camera] for camera in views}
        if self._drawn is None or self._drawn[:2] != (layout, tiles):
            image = arrange([tile.image for tile in tiles.values()], columns, layout.least)
            self._drawn = layout, tiles, image
        return self._drawn[2]

    def _draw(self, view: View | None, captions: tuple[str, ...], height: int) -> Image:
        panels = _panels(view) or [np.full((height, round(height * EMPTY_ASPECT), 3), EMPTY_BGR, np.uint8)]
        return self._row([(caption, scaled(panel, height)) for caption, panel in zip(captions, panels, strict=True)])

    def _captions(self, camera: str, view: View | None, now_ns: int, fixed: Container[str]) -> tuple[str, ...]:
        if view is None:
            return (f"{camera}: no image yet" if camera else "waiting for the first image",)
        age_s = (now_ns - self._since_ns[camera]) / NS_PER_S
        frame, depth_map = view.depth_map.frame, view.depth_map
        first = camera if frame.integrity == "clean" else f"{camera} ({frame.integrity})"
        first += f": no image for {int(age_s)} s" if age_s >= STALE_S else ""
        second = f"depth ({depth_map.model})"
        if depth_map.kind == "metric":
            second += f" {min(view.low, view.high):.1f} to {max(view.low, view.high):.1f} m"
        second += ", range fixed" if camera in fixed else ""
        return (first, second)[: len(_panels(view))]


@dataclass(frozen=True, slots=True, eq=False)
class _Tile:
    """One camera's part of the mosaic, and all that its look depends on; equal only to itself."""

    view: View | None
    captions: tuple[str, ...]
    height: int
    """Of the images, pixels."""
    image: Image

    def looks(self, view: View | None, captions: tuple[str, ...], height: int) -> bool:
        """Whether it shows this already."""
        return self.view is view and (self.captions, self.height) == (captions, height)


def _panels(view: View | None) -> list[Image]:
    if view is None:
        return []
    is_put_together = view.image.shape[:2] != view.depth_map.depth.shape
    return [view.image] if is_put_together else [view.depth_map.frame.image, view.image]


def _aspect(view: View | None) -> float:
    """Width of all panels together at height 1."""
    return float(sum(panel.shape[1] / panel.shape[0] for panel in _panels(view))) or EMPTY_ASPECT


def _height(view: View | None, room: Size, enlargement: float) -> int:
    """Of the camera's images, in the room of one tile."""
    most = EMPTY_PX if view is None else enlargement * _panels(view)[0].shape[0]
    return int(min(panel_height(room, _aspect(view)), most))
