"""Render: paint depth maps as images for people."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator

from stream.core.view_controls import ViewControls
from stream.errors import EngineError
from stream.frames import DepthMap, Image, View
from stream.render.colormap import lut, paint
from stream.render.depth_range import DepthRange, range_for
from stream.render.panels import stamp_text
from stream.runtime.worker import Body, ReleasingBody
from stream.settings import RenderSettings

log = logging.getLogger(__name__)


def render(settings: RenderSettings, controls: ViewControls | None = None) -> Body:
    """Paint every depth map with a ``Painter``."""

    paint_map = Painter(settings, controls)

    def body(maps: Iterable[DepthMap]) -> Iterator[View]:
        for depth_map in maps:
            yield paint_map(depth_map)

    return ReleasingBody(body, paint_map.release)


class Painter:
    """Paints depth maps; each camera has a colour range of its own that does not flicker.

    ``controls`` holds the viewer's choice of colour map and frozen ranges. An image of depth made with random weights
    has the words burnt in.
    """

    def __init__(self, settings: RenderSettings, controls: ViewControls | None = None) -> None:
        self._controls = controls or ViewControls(settings.colormap)
        self._ranges: defaultdict[str, DepthRange] = defaultdict(lambda: range_for(settings))
        self._device_failed = False

    def __call__(self, depth_map: DepthMap) -> View:
        frame = depth_map.frame
        low, high = self._ranges[frame.camera].update(depth_map.depth, frame.image, frame.stamp)
        low, high = self._controls.frozen_ranges.get(frame.camera, (low, high))
        image = self._paint(depth_map, low, high)
        if depth_map.weights == "random":
            image = stamp_text(image, "RANDOM WEIGHTS")
        return View(image, depth_map, low, high)

    def release(self, camera: str) -> None:
        """Forget the camera's colour range; one of its name that comes later gets a new one."""
        self._ranges.pop(camera, None)

    def _paint(self, depth_map: DepthMap, low: float, high: float) -> Image:
        """Paint on the GPU if the depth is still there, else on the CPU; a GPU that fails is not tried again."""
        colormap, on_device = self._controls.colormap, depth_map.on_device
        # A stabilised map has other numbers than its copy on the GPU.
        if on_device is not None and on_device.depth is depth_map.depth and not self._device_failed:
            try:
                return on_device.paint(low, high, colormap)
            except EngineError as error:
                self._device_failed = True
                log.warning("%s: depth is painted on the CPU from now on", error)
        return paint(depth_map.depth, low, high, lut(colormap))
