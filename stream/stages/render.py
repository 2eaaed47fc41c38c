"""Render: depth becomes a picture that people can read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from stream.frames import DepthMap, View
from stream.render.colormap import lut, paint
from stream.render.depth_range import DepthRange, range_for
from stream.render.panels import stamp_text
from stream.settings import RenderSettings
from stream.worker import Body


def render(settings: RenderSettings) -> Body:
    """Paint depth maps, each camera with a colour range of its own that does not flicker.

    Depth made with random weights carries the words burnt into the picture.
    """

    def body(maps: Iterable[DepthMap]) -> Iterator[View]:
        colours = lut(settings.colormap)
        ranges: defaultdict[str, DepthRange] = defaultdict(lambda: range_for(settings))
        for depth_map in maps:
            frame = depth_map.frame
            low, high = ranges[frame.camera].update(depth_map.depth, frame.image, frame.stamp)
            image = paint(depth_map.depth, low, high, colours)
            if depth_map.weights == "random":
                image = stamp_text(image, "RANDOM WEIGHTS")
            yield View(image, depth_map, low, high)

    return body
