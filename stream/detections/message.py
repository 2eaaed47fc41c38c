"""Boxes as a JSON message on ``boxes/<stream>``: 64 bytes of topic, then an object in UTF-8 (docs/how-to/objects.md).

{"boxes": [{"box": [x0, y0, x1, y1], "label": "person", "score": 0.9}, ...], "width": 640, "height": 480}

``label`` and ``score`` may be missing. ``width`` and ``height`` give the size of the image in which the boxes were
found; without them it is the camera's own size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stream.errors import WireError
from stream.frames import Size
from stream.objects import Box
from stream.wire.header import LARGEST_SIDE
from stream.wire.json_topics import pack_json, parse_json

FAMILY = "boxes/"
"""Start of every topic of boxes."""
MAX_MESSAGE_BYTES = 256 << 10
"""Largest message: some two thousand boxes."""


@dataclass(frozen=True, slots=True)
class BoxSet:
    """The boxes of one message."""

    boxes: tuple[Box, ...]
    size: Size | None
    """Size of the image in which the boxes were found; None for the camera's own size."""

    def at(self, size: Size) -> Sequence[Box]:
        """The boxes in pixels of an image of ``size``."""
        if self.size is None or self.size == size:
            return self.boxes
        x, y = size.width / self.size.width, size.height / self.size.height
        return [replace(b, x0=b.x0 * x, y0=b.y0 * y, x1=b.x1 * x, y1=b.y1 * y) for b in self.boxes]


def pack_boxes(stream: str, boxes: Sequence[Box], size: Size | None = None) -> bytes:
    """One message, for detectors in Python. Raises WireError for numbers that are not finite, and above 256 KiB.

    >>> socket.send(pack_boxes("front", [Box(10, 20, 110, 220, "person", 0.9)]))  # doctest: +SKIP
    """
    topic = f"{FAMILY}{stream}"
    data: dict[str, Any] = {"boxes": [_packed(box) for box in boxes]}
    if size is not None:
        data |= {"width": size.width, "height": size.height}
    message = pack_json(topic, data)
    if len(message) > MAX_MESSAGE_BYTES:
        raise WireError(f"{topic}: {len(message)} bytes of boxes; at most {MAX_MESSAGE_BYTES} are taken")
    return message


def parse_boxes(message: bytes | memoryview) -> tuple[str, BoxSet]:
    """The stream and its boxes. Raises WireError, and nothing else, for bytes that are not such a message.

    Boxes that are empty, inverted or not finite are valid here: ``stream.detections.clipping`` drops them one by one.
    """
    if len(message) > MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {len(message)} bytes of boxes; at most {MAX_MESSAGE_BYTES} are taken")
    topic, data = parse_json(message)
    if not topic.startswith(FAMILY) or topic == FAMILY:
        raise WireError(f'{topic}: boxes come on "boxes/<stream>"')
    boxes = data.get("boxes")
    if not isinstance(boxes, list):
        raise WireError(f'{topic}: "boxes" is {_kind(boxes)} instead of a list')
    return topic.removeprefix(FAMILY), BoxSet(tuple(_box(topic, box) for box in boxes), _size(topic, data))


def _packed(box: Box) -> dict[str, Any]:
    sides = [box.x0, box.y0, box.x1, box.y1]
    return {"box": sides, "label": box.label, **({} if box.score is None else {"score": box.score})}


def _box(topic: str, data: Any) -> Box:
    sides = data.get("box") if isinstance(data, dict) else None
    if not isinstance(sides, list) or len(sides) != 4:
        raise WireError(f'{topic}: a box is {{"box": [x0, y0, x1, y1]}}, not {data!r:.60}')
    label, score = data.get("label", ""), data.get("score")
    if not isinstance(label, str):
        raise WireError(f'{topic}: "label" is {_kind(label)} instead of text')
    x0, y0, x1, y1 = (_number(topic, "box", side) for side in sides)
    return Box(x0, y0, x1, y1, label, None if score is None else _number(topic, "score", score))


def _number(topic: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):  # bool is a subclass of int
        raise WireError(f'{topic}: a number in "{key}" is {_kind(value)}')
    try:
        return float(value)
    except OverflowError as error:
        raise WireError(f'{topic}: a number in "{key}" is beyond all images') from error


def _size(topic: str, data: Mapping[str, Any]) -> Size | None:
    height, width = data.get("height"), data.get("width")
    if height is None and width is None:
        return None
    for side in (height, width):
        if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
            raise WireError(f'{topic}: "width" and "height" are whole pixels, both, 1 to {LARGEST_SIDE}')
    return Size(int(height), int(width))  # type: ignore[arg-type]


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__
