"""Detectors: any callable that takes a frame and returns boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from stream.detections.clipping import box_fault, clip_box
from stream.errors import SettingsError
from stream.frames import Frame
from stream.objects import Box

Detector: TypeAlias = Callable[[Frame], Sequence[Box]]
"""Returns boxes in pixels of ``frame.image``, (H, W, 3) uint8 BGR. Called from one thread, one frame after another."""


class FixedBoxes:
    """Detector that returns the boxes of the config, by camera.

    Raises SettingsError for a box without a pixel in the first image of its camera, which must be a mistake. If the
    camera changes its size later, such boxes are dropped like those of any detector, and so are those that ``set``
    gives while a pipeline runs: one camera must not end it.
    """

    def __init__(self, boxes: Mapping[str, Sequence[Box]]) -> None:
        self._boxes = dict(boxes)
        self._checked: set[str] = set()

    def set(self, camera: str, boxes: Sequence[Box]) -> None:
        """Give a camera these boxes from now on. Any thread may call it."""
        self._checked.add(camera)
        self._boxes[camera] = boxes

    def remove(self, camera: str) -> None:
        """Forget a camera. Any thread may call it."""
        self._boxes.pop(camera, None)
        self._checked.discard(camera)

    def __call__(self, frame: Frame) -> Sequence[Box]:
        boxes = self._boxes.get(frame.camera, ())
        if frame.camera not in self._checked:
            self._checked.add(frame.camera)
            for number, box in enumerate(boxes):
                _check_inside(box, number, frame)
        return boxes


def combine_detectors(detectors: Sequence[Detector]) -> Detector:
    """A detector that returns the boxes of all ``detectors``, in their order."""
    return lambda frame: [box for detect in detectors for box in detect(frame)]


def _check_inside(box: Box, number: int, frame: Frame) -> None:
    if box_fault(clip_box(box, frame.size)):
        sides = [box.x0, box.y0, box.x1, box.y1]
        raise SettingsError(
            f'[cameras.boxes.{number}] box = {sides} is outside of the images of "{frame.camera}", which are '
            f"{frame.size} px: move it, or leave it out"
        )
