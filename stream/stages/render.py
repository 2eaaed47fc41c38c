"""Render: depth becomes an image that people can read."""

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
from stream.runtime.worker import Body
from stream.settings import RenderSettings

log = logging.getLogger(__name__)


class Painter:
    """Depth maps to views, each camera with a colour range of its own that does not flicker.

    ``controls``: what somebody at the window chooses meanwhile, colours and a range to hold. Depth made with random
    weights carries the words burnt into the image.
    """

    def __init__(self, settings: RenderSettings, controls: ViewControls | None = None) -> None:
        self._chosen = controls or ViewControls(settings.colormap)
        self._ranges: defaultdict[str, DepthRange] = defaultdict(lambda: range_for(settings))
        self._device_failed = False

    def __call__(self, depth_map: DepthMap) -> View:
        frame = depth_map.frame
        low, high = self._ranges[frame.camera].update(depth_map.depth, frame.image, frame.stamp)
        low, high = self._chosen.frozen_range.get(frame.camera, (low, high))
        image = self._painted(depth_map, low, high)
        if depth_map.weights == "random":
            image = stamp_text(image, "RANDOM WEIGHTS")
        return View(image, depth_map, low, high)

    def _painted(self, depth_map: DepthMap, low: float, high: float) -> Image:
        """Where the depth was made, if it still is there; a device that fails is not asked again."""
        colormap, there = self._chosen.colormap, depth_map.on_device
        if there is not None and there.depth is depth_map.depth and not self._device_failed:
            try:
                return there.paint(low, high, colormap)
            except EngineError as error:
                self._device_failed = True
                log.warning("%s: depth is painted on the CPU from now on", error)
        return paint(depth_map.depth, low, high, lut(colormap))


def render(settings: RenderSettings, controls: ViewControls | None = None) -> Body:
    """Paint every depth map (``Painter``)."""

    def body(maps: Iterable[DepthMap]) -> Iterator[View]:
        paint_map = Painter(settings, controls)
        for depth_map in maps:
            yield paint_map(depth_map)

    return body
