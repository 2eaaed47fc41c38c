"""Composes one image from many cameras: one tile each, with the camera's image, its depth, and captions above."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stream.core.clock import NS_PER_S
from stream.core.view_controls import Range
from stream.frames import Image, Size, View
from stream.sinks.window.layout import Layout, arrange, best_grid, panel_height, scaled

Row: TypeAlias = Callable[[Sequence[tuple[str, Image]]], Image]
"""Joins captioned images of one height side by side: ``stream.render.panels.side_by_side``."""

EMPTY_ASPECT, EMPTY_PX = 8 / 3, 360
"""Shape of a tile without an image: as two 4:3 images side by side, and no higher than this."""
EMPTY_BGR = (48, 48, 48)
STALE_S = 2.0
"""After this long without a new image, the caption says so."""


class Mosaic:
    """Draws the newest view of each camera as tiles of one grid; unchanged tiles are not drawn again.

    ``cameras`` have their places from the start, others get one with their first view. A view whose image does not have
    the size of its depth is already composed (the demo's row with the ground truth) and is shown alone.
    """

    def __init__(self, row: Row, cameras: Sequence[str] = ()) -> None:
        self._row = row
        self._views: dict[str, View | None] = dict.fromkeys(cameras)
        self._since_ns: dict[str, int] = {}
        self._tiles: dict[str, _Tile] = {}
        self._drawn: tuple[Layout, dict[str, _Tile], Image] | None = None

    def add(self, views: Mapping[str, View], now_ns: int) -> None:
        """Show these views from now on; ``now_ns`` is monotonic."""
        self._views.update(views)
        self._since_ns.update(dict.fromkeys(views, now_ns))

    def remove(self, cameras: Iterable[str]) -> None:
        """Take these cameras' tiles away."""
        for camera in cameras:
            for kept in (self._views, self._since_ns, self._tiles):
                kept.pop(camera, None)

    @property
    def ranges(self) -> dict[str, Range]:
        """Colour range of the view that is shown, by camera."""
        return {camera: (view.low, view.high) for camera, view in self._views.items() if view is not None}

    @property
    def shapes(self) -> tuple[object, ...]:
        """The inputs of the window's best size: the cameras, and the shapes of their images."""
        return tuple((camera, *(panel.shape for panel in _panels(view))) for camera, view in self._views.items())

    def draw(self, now_ns: int, layout: Layout, fixed: Container[str] = ()) -> Image:
        """(H, W, 3) uint8 BGR; the same object as before if nothing changed.

        ``fixed`` are the cameras whose colour range is frozen; their captions say so.
        """
        views = self._views or {"": None}
        columns, space = best_grid(len(views), max(map(_aspect, views.values())), layout.limit)
        for camera, view in views.items():
            content = view, self._captions(camera, view, now_ns, fixed), _height(view, space, layout.enlargement)
            if camera not in self._tiles or not self._tiles[camera].shows(*content):
                self._tiles[camera] = _Tile(*content, self._draw(*content))
        tiles = {camera: self._tiles[camera] for camera in views}
        if self._drawn is None or self._drawn[:2] != (layout, tiles):
            image = arrange([tile.image for tile in tiles.values()], columns, layout.minimum)
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
    """One camera's part of the mosaic, with the inputs from which it was drawn; equal only to itself."""

    view: View | None
    captions: tuple[str, ...]
    height: int
    """Height of the images, pixels."""
    image: Image
    """(H, W, 3) uint8 BGR, captions included."""

    def shows(self, view: View | None, captions: tuple[str, ...], height: int) -> bool:
        """True if it was drawn from these inputs."""
        return self.view is view and (self.captions, self.height) == (captions, height)


def _panels(view: View | None) -> list[Image]:
    if view is None:
        return []
    is_composed = view.image.shape[:2] != view.depth_map.depth.shape
    return [view.image] if is_composed else [view.depth_map.frame.image, view.image]


def _aspect(view: View | None) -> float:
    """Width of all panels together, divided by their height."""
    return float(sum(panel.shape[1] / panel.shape[0] for panel in _panels(view))) or EMPTY_ASPECT


def _height(view: View | None, space: Size, enlargement: float) -> int:
    """Height of the camera's images in the space of one tile, pixels."""
    max_height = EMPTY_PX if view is None else enlargement * _panels(view)[0].shape[0]
    return int(min(panel_height(space, _aspect(view)), max_height))
