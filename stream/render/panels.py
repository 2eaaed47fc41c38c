"""Captioned images in a row, and a warning stamped onto an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from stream.frames import Image, Size

CAPTION_SHARE = 1 / 14
"""Height of the caption strip as a share of the panel's."""
MIN_CAPTION_PX = 18
"""Least height of the caption strip."""
STRIP_BGR = (32, 32, 32)
TEXT_BGR = (255, 255, 255)
LINE_PX_AT_SCALE_1 = 32.0
"""Line height of OpenCV's plain font at scale 1, descenders included."""


def side_by_side(panels: Sequence[tuple[str, Image]]) -> Image:
    """Put captioned images in a row: (H + strip, sum of widths, 3) uint8 BGR, where H is the height of the first.

    Images of another height are scaled to H. A caption too long for its panel is written smaller.
    """
    import cv2

    height = panels[0][1].shape[0]
    strip_px = max(MIN_CAPTION_PX, round(height * CAPTION_SHARE))
    columns = []
    for caption, image in panels:
        width = round(image.shape[1] * height / image.shape[0])
        fitted = image if image.shape[0] == height else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        strip = np.full((strip_px, width, 3), STRIP_BGR, np.uint8)
        _write(strip, [_fitting(caption, Size(strip_px, width - strip_px // 2))], strip_px // 4)
        columns.append(np.vstack([strip, cast(Image, fitted)]))
    return np.hstack(columns)


def stamp_text(image: Image, text: str) -> Image:
    """A copy of ``image`` with ``text`` on a dark bar along its lower edge, readable on any background.

    The words share one line, or get one line each where that lets them be larger, as in small images.
    """
    height, width = image.shape[:2]
    line_px = max(12, round(height / 12))
    room = Size(line_px, width - 4)
    as_one, as_words = [_fitting(text, room)], [_fitting(word, room) for word in text.split()]
    lines = max(as_one, as_words, key=lambda candidate: min((line.scale for line in candidate), default=0.0))
    smallest = min(line.scale for line in lines)
    lines = [line._replace(scale=smallest) for line in lines]
    stamped = image.copy()
    bar = stamped[max(0, height - line_px * len(lines)) :]
    bar //= 5  # darkens the image in place, so that white text is readable on any background
    _write(bar, lines, 2)
    return stamped


class _Line(NamedTuple):
    text: str
    scale: float


def _fitting(text: str, room: Size) -> _Line:
    """The text at the largest scale that fits into ``room``."""
    import cv2

    (width_px, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    return _Line(text, min(room.height / LINE_PX_AT_SCALE_1, max(1, room.width) / max(1, width_px)))


def _write(strip: Image, lines: Sequence[_Line], left_px: int) -> None:
    """Draw the lines below each other, evenly spaced over the strip."""
    import cv2

    line_px = strip.shape[0] / max(1, len(lines))
    for index, line in enumerate(lines):
        baseline = round((index + 0.5) * line_px + 0.33 * LINE_PX_AT_SCALE_1 * line.scale)
        thickness = max(1, round(line.scale * 1.5))
        cv2.putText(
            strip,
            line.text,
            (left_px, baseline),
            cv2.FONT_HERSHEY_SIMPLEX,
            line.scale,
            TEXT_BGR,
            thickness,
            cv2.LINE_AA,
        )
