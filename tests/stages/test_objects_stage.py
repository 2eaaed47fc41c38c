"""Boxes and depth maps in, objects out: one encoding of each image, one decoding of all boxes that wait."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from stream.detections.rejections import Rejections
from stream.detections.settings import ObjectFinderSettings
from stream.errors import UsageError
from stream.frames import DepthMap, Frame, View
from stream.objects import Box, Objects
from stream.settings import SyntheticCamera
from stream.sources.synthetic import SyntheticSource
from stream.stages.objects import ObjectFinder, compose_objects, overlay
from tests.detections.interior import Interior, depth_map_of

BOX = Box(2, 2, 12, 12, "cup")
RANDOM = {"segmenter": "x", "segmenter_weights": "random"}
TRAINED = {"segmenter": "x", "segmenter_weights": "trained"}


def depth_map(camera: str = "front", distance: float = 2.0, size: tuple[int, int] = (48, 64)) -> DepthMap:
    return depth_map_of(np.full(size, distance, np.float32), camera=camera)


def finder(segmenter: Interior, boxes: dict[str, list[Box]], **settings: int) -> ObjectFinder:
    return ObjectFinder(
        segmenter, lambda frame: boxes.get(frame.camera, []), ObjectFinderSettings(**settings), rejections=Rejections()
    )


def test_all_boxes_of_all_cameras_are_decoded_together() -> None:
    """Each image is encoded once; objects stay with their image, in their order, at its own size."""
    segmenter = Interior()
    boxes = {"a": [BOX, Box(0, 0, 64, 48)], "b": [], "c": [Box(5, 5, 9, 9)]}
    maps = [depth_map("a", 1.0), depth_map("b", 2.0), depth_map("c", 3.0, (24, 32)), depth_map("a", 4.0)]
    seen = finder(segmenter, boxes)(maps)
    assert (segmenter.encoded, segmenter.decoded) == ([3], [[2, 1, 2]])
    assert [found.depth_map for found in seen] == maps
    assert [[round(o.median or 0) for o in found.objects] for found in seen] == [[1, 1], [], [3], [4, 4]]
    assert [o.pixels for o in seen[0].objects] == [100, 48 * 64]
    assert seen[2].objects[0].mask.shape == (24, 32)


def test_images_without_boxes_cost_nothing() -> None:
    segmenter = Interior()
    (seen,) = finder(segmenter, {})([depth_map()])
    assert seen.objects == ()
    assert segmenter.encoded == segmenter.decoded == []


def test_the_stage_opens_the_segmenter_and_what_the_detector_needs() -> None:
    """It closes both at its end."""
    segmenter, resource = Interior(), Interior()
    stage = ObjectFinder(segmenter, lambda frame: [BOX], ObjectFinderSettings(), [resource])
    items = stage.body()(iter([depth_map(), depth_map()]))
    first = next(items)
    assert isinstance(first, Objects)
    assert first.frames == first.depth_map.frames
    assert segmenter.is_open
    assert resource.is_open
    assert len(list(items)) == 1
    assert not segmenter.is_open
    assert not resource.is_open


def test_the_segmenter_is_still_described_after_the_stage_has_closed_it() -> None:
    """The table is made at the end of a run, when the network is not loaded any more."""

    class Loads(Interior):
        def describe(self) -> str:
            return "loaded" if self.is_open else "not loaded yet"

    stage = ObjectFinder(Loads(), lambda frame: [BOX], ObjectFinderSettings())
    assert stage.describe() == "not loaded yet"
    items = stage.body()(iter([depth_map()]))
    next(items)
    assert stage.describe() == "loaded"
    assert list(items) == []
    assert stage.describe() == "loaded"


def test_rejected_boxes_are_reported_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The counts are in the objects, in the table, and in one line of the log."""
    bad = [Box(0, 0, float("nan"), 9), Box(9, 0, 1, 9), Box(90, 0, 99, 9)]
    found_in = finder(Interior(), {"front": [*bad, *[BOX] * 2000]}, max_boxes=3)
    with caplog.at_level(logging.WARNING):
        (seen,) = found_in([depth_map()])
        found_in([depth_map()])
    assert len(seen.objects) == 3
    assert seen.dropped == {"not finite": 1, "inverted": 1, "outside of the image": 1, "too many": 1997}
    assert found_in.statistics() == {
        "images with boxes": 2,
        "objects": 6,
        "left out: not finite": 2,
        "left out: inverted": 2,
        "left out: outside of the image": 2,
        "left out: too many": 3994,
    }
    assert len(caplog.records) == 1
    assert caplog.records[0].message.startswith("front: ")


def test_a_detector_that_gives_no_boxes_is_named() -> None:
    """A detector is the user's own code; the error names what it returned."""

    def detect(frame: Frame) -> list[Box]:
        return [(0, 0, 5, 5)]  # type: ignore[list-item]

    with pytest.raises(UsageError, match="a detector gave tuple"):
        ObjectFinder(Interior(), detect, ObjectFinderSettings())([depth_map()])


def test_views_show_objects_beside_the_depth() -> None:
    """One row for people; random weights are burnt in."""
    (seen,) = finder(Interior(), {"front": [BOX]})([depth_map(size=(120, 160))])

    def paint(shown: DepthMap) -> View:
        return View(np.full((120, 160, 3), 7, np.uint8), shown, 0.0, 1.0)

    (view,) = compose_objects(paint, TRAINED)(iter([seen]))
    assert view.image.shape[1] == 320
    assert view.image.shape[0] > 120
    assert view.depth_map is seen.depth_map
    assert (overlay(seen, RANDOM) != overlay(seen, TRAINED)).any()


def test_metres_and_centres_are_those_of_the_scene() -> None:
    """The synthetic camera knows its lens; its true depth stands for a metric network's here."""

    with SyntheticSource(SyntheticCamera(source="synthetic", width=96, height=64, pace="fast")) as camera:
        frame = next(iter(camera.frames(threading.Event())))
    assert frame.ground_truth is not None
    box = Box(10, 30, 50, 60)
    finder = ObjectFinder(Interior(), lambda frame: [box], ObjectFinderSettings())
    (seen,) = finder([DepthMap(frame.ground_truth, "metric", frame, "truth")])
    (found,) = seen.objects
    inside = frame.ground_truth[30:60, 10:50]
    assert found.median == pytest.approx(np.median(inside[np.isfinite(inside)]))
    assert found.centre_m is not None
    assert found.centre_m[2] == found.median
    assert found.centre_m[1] > 0  # the box is below the axis
