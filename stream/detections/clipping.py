"""What becomes of boxes from anywhere before they are segmented: inside of the image, whole, and not too many."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from stream.errors import UsageError
from stream.frames import Size
from stream.objects import Box
from stream.wire.names import CONTROL

LONGEST_LABEL = 64
"""Characters; live ones are cut."""
LEAST_SIDE_PX = 1.0


class Fitted(NamedTuple):
    """Boxes of one image that can be segmented, and how many others there were."""

    boxes: tuple[Box, ...]
    dropped: Counter[str]
    """By reason."""


def fit(boxes: Iterable[Box], size: Size, max_boxes: int) -> Fitted:
    """The first ``max_boxes`` that have pixels in an image of ``size``, cut at its edges.

    Raises UsageError for what is no Box: somebody's detector is not what it should be.
    """
    kept: list[Box] = []
    dropped: Counter[str] = Counter()
    for box in boxes:
        if not isinstance(box, Box):
            raise UsageError(f"a detector gave {type(box).__name__} instead of stream.objects.Box: {box!r:.80}")
        inside = box if why_unfit(box) else clipped(box, size)
        if why := why_unfit(inside):
            dropped[why if inside is box else "outside of the image"] += 1
        elif len(kept) == max_boxes:
            dropped["too many"] += 1
        else:
            kept.append(_tidied(inside))
    return Fitted(tuple(kept), dropped)


def why_unfit(box: Box) -> str:
    """What is wrong with it whatever the image; "" if nothing is."""
    if not all(math.isfinite(number) for number in (box.x0, box.y0, box.x1, box.y1)):
        return "not finite"
    if box.x1 < box.x0 or box.y1 < box.y0:
        return "inverted"
    if min(box.x1 - box.x0, box.y1 - box.y0) < LEAST_SIDE_PX:
        return "empty"
    return ""


def clipped(box: Box, size: Size) -> Box:
    """Its part inside of the image; inverted or empty where there is none."""
    left, top = max(0.0, float(box.x0)), max(0.0, float(box.y0))
    right, bottom = min(float(size.width), float(box.x1)), min(float(size.height), float(box.y1))
    return Box(left, top, right, bottom, box.label, box.score)


def _tidied(box: Box) -> Box:
    """A label that can be printed and sent, a score that is a number."""
    text = CONTROL.sub(" ", str(box.label)).encode(errors="replace").decode()[:LONGEST_LABEL]
    score = None if box.score is None or not math.isfinite(box.score) else float(box.score)
    return replace(box, label=text, score=score)
