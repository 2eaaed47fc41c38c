"""Objects drawn into the camera's image: a tint where they are, their boxes, what they are called and how far."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from stream.frames import Image
from stream.objects import Objects, SeenObject

COLOURS_BGR = (
    *((75, 180, 60), (230, 120, 0), (48, 130, 245), (200, 50, 240), (25, 225, 255), (240, 240, 70)),
    *((180, 30, 145), (60, 245, 210)),
)
"""Far apart, and none of them dark; objects take them in turn."""
TINT = 0.45
"""Share of the colour in what belongs to an object."""
CAPTION_SHARE = 1 / 30
"""Height of a caption, of the image's."""
MIN_CAPTION_PX = 11
LINE_PX_AT_SCALE_1 = 32.0
"""Line height that OpenCV's plain font needs at scale 1."""
DARK_BGR, LIGHT_BGR = (16, 16, 16), (255, 255, 255)


def draw_objects(seen: Objects) -> Image:
    """(H, W, 3) uint8 BGR, a copy of the frame's image."""
    image = seen.depth_map.frame.image.copy()
    for number, found in enumerate(seen.objects):
        _tint(image, found, COLOURS_BGR[number % len(COLOURS_BGR)])
    for number, found in enumerate(seen.objects):  # above all tints
        _outline(image, found, COLOURS_BGR[number % len(COLOURS_BGR)], caption_of(found, seen))
    return image


def caption_of(found: SeenObject, seen: Objects) -> str:
    """ "person 2.31 m"; "~" before metres that are a guess; relative depth is a rank, 1.00 the nearest of the image.

    ASCII: OpenCV's font has nothing else.
    """
    depth_map = seen.depth_map
    if found.median is None:
        distance = "no depth"
    elif depth_map.kind == "metric":
        distance = f"{'~' if depth_map.scale_guessed else ''}{found.median:.2f} m"
    else:
        distance = f"rank {found.median:.2f}"
    label = found.box.label.encode("ascii", errors="replace").decode()
    return f"{label} {distance}".strip()


def _tint(image: Image, found: SeenObject, colour: tuple[int, int, int]) -> None:
    import cv2

    part, mask = image[found.place], found.mask[found.place]
    if mask.size:
        np.copyto(part, cv2.LUT(part, _tints(colour)), where=mask[..., None])


@cache
def _tints(colour: tuple[int, int, int]) -> Image:
    """(1, 256, 3): what each value of each channel becomes."""
    values = np.arange(256)[:, None]
    return np.rint(values + TINT * (np.array(colour) - values)).astype(np.uint8)[None]


def _outline(image: Image, found: SeenObject, colour: tuple[int, int, int], caption: str) -> None:
    import cv2

    height, width = image.shape[:2]
    (left, top), (right, bottom) = _corner(found.box.x0, found.box.y0), _corner(found.box.x1, found.box.y1)
    thickness = max(1, round(height / 360))
    cv2.rectangle(image, (left, top), (min(right, width) - 1, min(bottom, height) - 1), colour, thickness)
    _write(image, caption, _Corner(left, top), colour)


class _Corner(NamedTuple):
    x: int
    y: int


def _corner(x: float, y: float) -> _Corner:
    return _Corner(round(x), round(y))


def _write(image: Image, text: str, at: _Corner, colour: tuple[int, int, int]) -> None:
    """On a bar of ``colour`` above the corner; below it where there is no room, and never beside the image."""
    import cv2

    height, width = image.shape[:2]
    line_px = min(height, max(MIN_CAPTION_PX, round(height * CAPTION_SHARE)))
    scale = line_px / LINE_PX_AT_SCALE_1
    (text_px, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    top = min(max(0, at.y - line_px if at.y >= line_px else at.y), height - line_px)
    left = max(0, min(at.x, width - text_px - 4))
    image[top : top + line_px, left : left + text_px + 4] = colour
    ink = DARK_BGR if sum(colour) > 300 else LIGHT_BGR
    baseline = (left + 2, top + round(0.75 * line_px))
    cv2.putText(image, text, baseline, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
