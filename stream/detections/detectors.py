"""Who says where objects are: anything that is called with a frame and answers with boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from stream.detections.clipping import clipped, why_unfit
from stream.errors import SettingsError
from stream.frames import Frame
from stream.objects import Box

Detector: TypeAlias = Callable[[Frame], Sequence[Box]]
"""Boxes in pixels of ``frame.image``, (H, W, 3) uint8 BGR. Called in one thread, for one frame after another."""


class FixedBoxes:
    """Those of the config, by camera.

    Raises SettingsError for a box that has no pixel in the first image of its camera: that one cannot be meant. When
    the camera changes its size later, such boxes are dropped like anybody's.
    """

    def __init__(self, boxes: Mapping[str, Sequence[Box]]) -> None:
        self._boxes = boxes
        self._seen: set[str] = set()

    def __call__(self, frame: Frame) -> Sequence[Box]:
        boxes = self._boxes.get(frame.camera, ())
        if frame.camera not in self._seen:
            self._seen.add(frame.camera)
            for number, box in enumerate(boxes):
                _check_inside(box, number, frame)
        return boxes


def all_of(detectors: Sequence[Detector]) -> Detector:
    """What each of them finds, in their order."""
    return lambda frame: [box for detect in detectors for box in detect(frame)]


def _check_inside(box: Box, number: int, frame: Frame) -> None:
    if why_unfit(clipped(box, frame.size)):
        sides = [box.x0, box.y0, box.x1, box.y1]
        raise SettingsError(
            f'[cameras.boxes.{number}] box = {sides} is outside of the images of "{frame.camera}", which are '
            f"{frame.size} px: move it, or leave it out"
        )
