"""Messages on boxes/<stream>: their content, and that arbitrary bytes raise WireError and nothing else."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from stream.detections.message import MAX_MESSAGE_BYTES, BoxSet, pack_boxes, parse_boxes
from stream.errors import WireError
from stream.frames import Size
from stream.objects import Box

BOXES = (Box(1.5, 2, 30, 40, "pérson", 0.75), Box(0, 0, 5, 5))


def message(data: Any, topic: str = "boxes/front") -> bytes:
    return topic.encode().ljust(64, b"\0") + (data if isinstance(data, bytes) else json.dumps(data).encode())


def test_what_is_packed_is_read() -> None:
    """Numbers, labels, scores, and the size they were found at."""
    assert parse_boxes(pack_boxes("front", BOXES)) == ("front", BoxSet(BOXES, None))
    assert parse_boxes(memoryview(pack_boxes("a b", [], Size(480, 640)))) == ("a b", BoxSet((), Size(480, 640)))


def test_boxes_found_in_a_smaller_image_are_scaled_to_the_cameras() -> None:
    """Each side by its own factor."""
    found = BoxSet(BOXES, Size(240, 320))
    assert found.at(Size(480, 1280))[0] == Box(6, 4, 120, 80, "pérson", 0.75)
    assert found.at(Size(240, 320)) is BOXES
    assert BoxSet(BOXES, None).at(Size(1, 1)) is BOXES


def test_keys_that_are_not_known_are_left_alone() -> None:
    """Unknown keys are ignored, as everywhere on the wire."""
    data = {"boxes": [{"box": [0, 0, 5, 5], "track": 7}], "made_by": "me"}
    assert parse_boxes(message(data))[1].boxes == BOXES[1:]


def test_one_box_without_area_does_not_cost_the_others() -> None:
    """Fitting to the image drops it; JSON's 1e999 is infinite."""
    text = b'{"boxes": [{"box": [0, 0, 1e999, 5]}, {"box": [9, 9, 0, 0]}, {"box": [0, 0, 5, 5]}]}'
    assert len(parse_boxes(message(text))[1].boxes) == 3


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "bytes"),
        (b"boxes", "not JSON"),
        (b"[1, 2]", "list instead of a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ({}, '"boxes" is missing'),
        ({"boxes": {}}, '"boxes" is dict'),
        ({"boxes": [[0, 0, 5, 5]]}, "a box is"),
        ({"boxes": [{"box": [0, 0, 5]}]}, "a box is"),
        ({"boxes": [{"box": [0, 0, 5, "5"]}]}, 'a number in "box" is str'),
        ({"boxes": [{"box": [0, 0, 5, True]}]}, 'a number in "box" is bool'),
        ({"boxes": [{"box": [0, 0, 5, None]}]}, 'a number in "box" is missing'),
        ({"boxes": [{"box": [0, 0, 5, 10**400]}]}, "beyond all images"),
        (b'{"boxes": [{"box": [0, 0, 5, NaN]}]}', "not JSON"),
        ({"boxes": [{"box": [0, 0, 5, 5], "label": 7}]}, '"label" is int'),
        ({"boxes": [{"box": [0, 0, 5, 5], "score": "high"}]}, 'a number in "score" is str'),
        ({"boxes": [], "width": 640}, "both"),
        ({"boxes": [], "width": 640, "height": 0}, "1 to 16384"),
        ({"boxes": [], "width": 640, "height": 1e9}, "1 to 16384"),
        ({"boxes": [], "width": True, "height": True}, "1 to 16384"),
        ({"boxes": [], "pad": "x" * MAX_MESSAGE_BYTES}, f"at most {MAX_MESSAGE_BYTES}"),
    ],
)
def test_what_is_malformed_is_refused_in_one_line(data: Any, what: str) -> None:
    """The error names the fault."""
    with pytest.raises(WireError, match=what) as refused:
        parse_boxes(message(data))
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("topic", ["boxes/", "depth/front", "boxes", "", "boxes/\x1b[2J"])
def test_another_topic_is_refused(topic: str) -> None:
    with pytest.raises(WireError):
        parse_boxes(message({"boxes": []}, topic))


def test_any_bytes_are_boxes_or_an_error_of_ours() -> None:
    """4000 messages with bytes changed, cut out and put in."""
    chance = random.Random(0)
    good = pack_boxes("front", BOXES, Size(48, 64))
    refused = 0
    for _ in range(4000):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(bad))
            how = chance.random()
            if how < 0.6:
                bad[at] = chance.randrange(256)
            elif how < 0.8:
                del bad[at : at + chance.randint(1, 9)]
            else:
                bad[at:at] = bytes(chance.choices(b'{}[]",:-0123456789eE\\u\xff\x00', k=chance.randint(1, 5)))
        try:
            _, found = parse_boxes(bytes(bad))
        except WireError:
            refused += 1
        else:
            assert all(isinstance(box, Box) for box in found.boxes)
    assert refused > 2000


def test_boxes_that_cannot_be_sent_are_an_error() -> None:
    """Numbers that are not finite, or too many bytes."""
    with pytest.raises(WireError, match="JSON"):
        pack_boxes("front", [Box(0, 0, float("nan"), 5)])
    with pytest.raises(WireError, match="at most"):
        pack_boxes("front", [Box(0, 0, 5, 5, "x" * 50)] * 5000)
