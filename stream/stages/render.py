"""Render: depth becomes a picture that people can read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from stream.frames import DepthMap, View
from stream.render.colormap import lut, paint
from stream.render.depth_range import DepthRange, range_for
from stream.render.panels import stamp_text
from stream.settings import RenderSettings
from stream.sinks.window_keys import ViewControls
from stream.worker import Body


def render(settings: RenderSettings, controls: ViewControls | None = None) -> Body:
    """Paint depth maps, each camera with a colour range of its own that does not flicker.

    ``controls``: what somebody at the window chooses meanwhile, colours and a range to hold. Depth made with random
    weights carries the words burnt into the picture.
    """

    def body(maps: Iterable[DepthMap]) -> Iterator[View]:
        chosen = controls or ViewControls(settings.colormap)
        ranges: defaultdict[str, DepthRange] = defaultdict(lambda: range_for(settings))
        for depth_map in maps:
            frame = depth_map.frame
            low, high = ranges[frame.camera].update(depth_map.depth, frame.image, frame.stamp)
            low, high = chosen.frozen_range.get(frame.camera, (low, high))
            image = paint(depth_map.depth, low, high, lut(chosen.colormap))
            if depth_map.weights == "random":
                image = stamp_text(image, "RANDOM WEIGHTS")
            yield View(image, depth_map, low, high)

    return body
