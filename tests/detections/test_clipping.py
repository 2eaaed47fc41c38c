"""Clipping: which boxes are segmented, which are dropped, and why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.detections.clipping import clip_boxes
from stream.detections.detectors import FixedBoxes, combine_detectors
from stream.detections.rejections import Rejections
from stream.detections.settings import BoxSettings, BoxTopicSettings
from stream.errors import SettingsError, UsageError
from stream.frames import Frame, Size
from stream.objects import Box

SIZE = Size(48, 64)


def frame(camera: str = "front", size: Size = SIZE) -> Frame:
    return Frame(np.zeros((*size, 3), np.uint8), camera, 0, Stamp.now())


def test_a_box_inside_is_left_as_it_is() -> None:
    """This includes a box of the whole image, and one of a single pixel."""
    boxes = (Box(1.5, 2, 60, 40, "cup", 0.25), Box(0, 0, 64, 48), Box(63, 47, 64, 48))
    assert clip_boxes(boxes, SIZE, 10) == (boxes, {})


def test_a_box_is_cut_at_the_edges() -> None:
    """A box outside the image has no pixels."""
    ((cut,), dropped) = clip_boxes([Box(-30, -1e9, 20, 1e9, "wall", 1)], SIZE, 10)
    assert cut == Box(0, 0, 20, 48, "wall", 1)
    assert not dropped


@pytest.mark.parametrize(
    ("sides", "reason"),
    [
        ((math.nan, 0, 9, 9), "not finite"),
        ((0, 0, math.inf, 9), "not finite"),
        ((9, 0, 3, 9), "inverted"),
        ((0, 9, 9, 3), "inverted"),
        ((3, 3, 3, 9), "empty"),
        ((3, 3, 3.5, 9), "empty"),
        ((64, 0, 90, 9), "outside of the image"),
        ((-9, 0, 0.5, 9), "outside of the image"),
        ((0, -1e30, 9, -1e29), "outside of the image"),
    ],
)
def test_a_box_without_pixels_is_dropped_with_its_reason(sides: tuple[float, ...], reason: str) -> None:
    """The others of the image stay."""
    good = Box(1, 1, 9, 9)
    assert clip_boxes([Box(*sides), good], SIZE, 10) == ((good,), {reason: 1})


def test_thousands_of_boxes_are_a_bounded_batch() -> None:
    """The first ones are kept; unusable boxes do not count towards the limit."""
    boxes = [Box(5, 5, 1, 1), *(Box(number % 50, 0, number % 50 + 5, 9) for number in range(5000))]
    kept, dropped = clip_boxes(boxes, SIZE, 7)
    assert kept == tuple(boxes[1:8])
    assert dropped == {"inverted": 1, "too many": 4993}


def test_labels_and_scores_can_be_printed_and_sent() -> None:
    """Control characters, half a surrogate pair, no end, and a score that is no number."""
    ((box,), _) = clip_boxes([Box(0, 0, 9, 9, f"a\x1b[2J\n\ud800{'x' * 100}", math.nan)], SIZE, 1)
    assert box.label == f"a [2J ?{'x' * 57}"
    assert box.score is None


def test_what_is_no_box_is_the_detectors_mistake() -> None:
    """The error names the type that came instead."""
    not_a_box: Any = (0, 0, 9, 9)
    with pytest.raises(UsageError, match=r"tuple instead of stream\.objects\.Box: \(0, 0, 9, 9\)"):
        clip_boxes([not_a_box], SIZE, 1)


def test_fixed_boxes_belong_to_their_camera() -> None:
    """Detectors are called one after another."""
    left, seen = Box(0, 0, 9, 9), Box(1, 1, 5, 5)
    detect = combine_detectors([FixedBoxes({"left": [left]}), lambda frame: [seen]])
    assert detect(frame("left")) == [left, seen]
    assert detect(frame("right")) == [seen]


def test_a_fixed_box_outside_of_the_first_image_cannot_be_meant() -> None:
    """One line that names camera, box and size; a camera that becomes smaller later is another matter."""
    detect = FixedBoxes({"left": [Box(0, 0, 9, 9), Box(600, 400, 700, 500)]})
    with pytest.raises(
        SettingsError, match=r'\[cameras\.boxes\.1\] box = \[600.*\] is outside .* of "left".* 64x48 px'
    ):
        detect(frame("left"))
    later = FixedBoxes({"left": [Box(600, 400, 700, 500)]})
    later(frame("left", Size(720, 1280)))
    assert len(later(frame("left"))) == 1


def test_boxes_of_cameras_that_come_and_go() -> None:
    """One outside of the image does not end a pipeline that runs: it is dropped as any detector's."""
    detect = FixedBoxes({})
    detect.set("left", [Box(600, 400, 700, 500)])
    assert len(detect(frame("left"))) == 1
    detect.remove("left")
    assert detect(frame("left")) == ()


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0, 0, math.nan, 9], "finite"),
        ([9, 0, 3, 9], "inverted"),
        ([3, 3, 3, 9], "empty"),
        ([0, 0, 9], "box"),
        ("all", "box"),
    ],
)
def test_a_wrong_box_in_the_config_is_refused(box: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoxSettings.model_validate({"box": box})


@pytest.mark.parametrize("endpoint", ["127.0.0.1:5570", "tcp://*:5570", "tcp://host:70000", "udp://host:1", ""])
def test_an_endpoint_that_is_none_is_refused_in_the_config(endpoint: str) -> None:
    """ZeroMQ itself would take some of them, and wait for ever."""
    with pytest.raises(ValueError, match="cannot connect to"):
        BoxTopicSettings.model_validate({"connect": [endpoint]})


def test_all_rejections_are_counted_and_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """The next line says how many were silent."""
    now = [0]
    rejections = Rejections(lambda: now[0])
    for number in range(100):
        rejections.add("empty", f"number {number}", 2)
    assert [record.message for record in caplog.records] == ["number 0"]
    now[0] = 1_000_000_000
    rejections.add("inverted", "the last")
    assert caplog.records[-1].message == "the last (and 198 before it)"
    assert rejections.counts() == {"empty": 200, "inverted": 1}
