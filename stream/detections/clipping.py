"""Clip boxes to the image before segmentation, and leave out unusable or excess ones."""

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

MAX_LABEL_CHARS = 64
"""Longest label; a detector's longer one is cut, the config's is an error."""
MIN_SIDE_PX = 1.0


class ClippedBoxes(NamedTuple):
    """The boxes of one image that can be segmented."""

    boxes: tuple[Box, ...]
    dropped: Counter[str]
    """Number of boxes left out, by reason."""


def clip_boxes(boxes: Iterable[Box], size: Size, max_boxes: int) -> ClippedBoxes:
    """The first ``max_boxes`` that have pixels in an image of ``size``, clipped to it.

    Raises UsageError for anything that is not a Box: the detector is wrong, not its detection.
    """
    kept: list[Box] = []
    dropped: Counter[str] = Counter()
    for box in boxes:
        if not isinstance(box, Box):
            raise UsageError(f"a detector gave {type(box).__name__} instead of stream.objects.Box: {box!r:.80}")
        # Checked before clipping as well, because max(0.0, nan) is 0.0 and would hide the fault.
        inside = box if box_fault(box) else clip_box(box, size)
        if fault := box_fault(inside):
            dropped[fault if inside is box else "outside of the image"] += 1
        elif len(kept) == max_boxes:
            dropped["too many"] += 1
        else:
            kept.append(_sanitized(inside))
    return ClippedBoxes(tuple(kept), dropped)


def box_fault(box: Box) -> str:
    """Why the box is unusable in any image ("not finite", "inverted", "empty"); "" for a usable one."""
    if not all(math.isfinite(number) for number in (box.x0, box.y0, box.x1, box.y1)):
        return "not finite"
    if box.x1 < box.x0 or box.y1 < box.y0:
        return "inverted"
    if min(box.x1 - box.x0, box.y1 - box.y0) < MIN_SIDE_PX:
        return "empty"
    return ""


def clip_box(box: Box, size: Size) -> Box:
    """The part of ``box`` inside an image of ``size``; inverted or empty if there is no such part."""
    left, top = max(0.0, float(box.x0)), max(0.0, float(box.y0))
    right, bottom = min(float(size.width), float(box.x1)), min(float(size.height), float(box.y1))
    return Box(left, top, right, bottom, box.label, box.score)


def _sanitized(box: Box) -> Box:
    """``box`` with a label that can be printed and sent, and a score that is a finite number or None."""
    # A label may hold half a surrogate pair, which has no UTF-8.
    text = CONTROL.sub(" ", str(box.label)).encode(errors="replace").decode()[:MAX_LABEL_CHARS]
    score = None if box.score is None or not math.isfinite(box.score) else float(box.score)
    return replace(box, label=text, score=score)
