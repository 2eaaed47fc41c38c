"""Draw detected objects into the camera's image: a tint on their masks, boxes, labels and distances."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from stream.frames import Image
from stream.objects import MeasuredObject, Objects

COLOURS_BGR = (
    *((75, 180, 60), (230, 120, 0), (48, 130, 245), (200, 50, 240), (25, 225, 255), (240, 240, 70)),
    *((180, 30, 145), (60, 245, 210)),
)
"""Distinct colours, none of them dark; objects use them in turn."""
TINT = 0.45
"""Share of the object's colour in the pixels of its mask."""
CAPTION_SHARE = 1 / 30
"""Height of a caption as a share of the image's."""
MIN_CAPTION_PX = 11
"""Least height of a caption."""
LINE_PX_AT_SCALE_1 = 32.0
"""Line height of OpenCV's plain font at scale 1."""
DARK_BGR, LIGHT_BGR = (16, 16, 16), (255, 255, 255)


def draw_objects(objects: Objects) -> Image:
    """A copy of the frame's image, (H, W, 3) uint8 BGR, with all objects drawn."""
    image = objects.depth_map.frame.image.copy()
    for index, measured in enumerate(objects.objects):
        _tint(image, measured, COLOURS_BGR[index % len(COLOURS_BGR)])
    for index, measured in enumerate(objects.objects):  # after all tints, so that no tint covers an outline
        _outline(image, measured, COLOURS_BGR[index % len(COLOURS_BGR)], caption_of(measured, objects))
    return image


def caption_of(measured: MeasuredObject, objects: Objects) -> str:
    """Label and distance, such as "person 2.31 m"; a "~" marks metres whose scale is a guess.

    Relative depth appears as a rank, 1.00 for the nearest of the image. The text is ASCII, because OpenCV's font has no
    other characters.
    """
    depth_map = objects.depth_map
    if measured.median is None:
        distance = "no depth"
    elif depth_map.kind == "metric":
        distance = f"{'~' if depth_map.scale_guessed else ''}{measured.median:.2f} m"
    else:
        distance = f"rank {measured.median:.2f}"
    label = measured.box.label.encode("ascii", errors="replace").decode()
    return f"{label} {distance}".strip()


def _tint(image: Image, measured: MeasuredObject, colour: tuple[int, int, int]) -> None:
    import cv2

    region, mask = image[measured.bounds], measured.mask[measured.bounds]
    if mask.size:
        np.copyto(region, cv2.LUT(region, _tints(colour)), where=mask[..., None])


@cache
def _tints(colour: tuple[int, int, int]) -> Image:
    """(1, 256, 3) uint8: the tinted value of each value of each channel."""
    values = np.arange(256)[:, None]
    return np.rint(values + TINT * (np.array(colour) - values)).astype(np.uint8)[None]


def _outline(image: Image, measured: MeasuredObject, colour: tuple[int, int, int], caption: str) -> None:
    import cv2

    height, width = image.shape[:2]
    (left, top), (right, bottom) = _corner(measured.box.x0, measured.box.y0), _corner(measured.box.x1, measured.box.y1)
    thickness = max(1, round(height / 360))
    cv2.rectangle(image, (left, top), (min(right, width) - 1, min(bottom, height) - 1), colour, thickness)
    _write(image, caption, _Corner(left, top), colour)


class _Corner(NamedTuple):
    x: int
    y: int


def _corner(x: float, y: float) -> _Corner:
    return _Corner(round(x), round(y))


def _write(image: Image, text: str, at: _Corner, colour: tuple[int, int, int]) -> None:
    """Write the text on a bar of ``colour`` above the corner, or below it if the bar would leave the image."""
    import cv2

    height, width = image.shape[:2]
    line_px = min(height, max(MIN_CAPTION_PX, round(height * CAPTION_SHARE)))
    scale = line_px / LINE_PX_AT_SCALE_1
    (text_px, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    top = min(max(0, at.y - line_px if at.y >= line_px else at.y), height - line_px)
    left = max(0, min(at.x, width - text_px - 4))
    image[top : top + line_px, left : left + text_px + 4] = colour
    text_bgr = DARK_BGR if sum(colour) > 300 else LIGHT_BGR
    baseline = (left + 2, top + round(0.75 * line_px))
    cv2.putText(image, text, baseline, cv2.FONT_HERSHEY_SIMPLEX, scale, text_bgr, 1, cv2.LINE_AA)
