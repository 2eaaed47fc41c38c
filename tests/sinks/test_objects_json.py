"""The JSON of objects, and their masks as run lengths."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream.frames import Intrinsics, Kind, Size
from stream.objects import Box, Mask, Objects, Ruler
from stream.sinks.objects_json import MAX_RUNS, facts_of, runs_of
from stream.wire.json_topics import LARGEST_JSON_BYTES, pack_json
from tests.detections.interior import depth_map_of, interior

SIZE = Size(60, 80)
BOX = Box(20.25, 10, 40, 30, "crate", 0.5)


def seen(kind: Kind = "metric", mask: Mask | None = None, scale_guessed: bool = False) -> Objects:
    depth = np.full(SIZE, 2.5, np.float32)
    lens = Intrinsics(100, 100, 39.5, 29.5, SIZE)
    depth_map = depth_map_of(depth, kind=kind, intrinsics=lens, scale_guessed=scale_guessed)
    found = Ruler(depth_map).measure(BOX, interior(BOX, SIZE) if mask is None else mask, 0.875)
    return Objects(depth_map, (found,), {"empty": 2})


def unpacked(mask: dict[str, object], size: Size) -> Mask:
    """Decode runs by the documented rule."""
    runs, width, height = mask["runs"], mask["width"], mask["height"]
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)  # type: ignore[arg-type, call-overload]
    whole = np.zeros(size, np.bool_)
    whole[mask["y"] : mask["y"] + height, mask["x"] : mask["x"] + width] = inside  # type: ignore[operator, misc]
    return whole


@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.9, 1.0])
def test_runs_are_the_mask_again(density: float) -> None:
    """Of any shape, also where it touches the image's edges."""
    for seed in range(20):
        mask = np.random.default_rng(seed).random(SIZE) < density
        runs = runs_of(mask)
        if not mask.any():
            assert runs is None
            continue
        assert runs is not None
        np.testing.assert_array_equal(unpacked(runs, SIZE), mask)
        assert sum(runs["runs"]) == runs["width"] * runs["height"]


def test_a_box_is_one_run() -> None:
    """Its own rectangle, all of it inside."""
    assert runs_of(interior(Box(20, 10, 40, 30), SIZE)) == {
        "x": 20,
        "y": 10,
        "width": 20,
        "height": 20,
        "runs": [0, 400],
    }


def test_metres_and_ranks_have_different_names() -> None:
    """A reader of metres finds none in relative depth."""
    (metric,) = facts_of(seen("metric"))["objects"]
    (relative,) = facts_of(seen("relative"))["objects"]
    assert (metric["distance_m"], metric["near_m"], metric["centre_m"][2]) == (2.5, 2.5, 2.5)
    assert "nearness" not in metric
    assert (relative["nearness"], relative["near_nearness"], relative["centre_m"]) == (0.5, 0.5, None)
    assert not any(key.endswith("_m") and relative[key] is not None for key in relative)
    assert (metric["box"], metric["label"], metric["score"]) == ([20.2, 10, 40, 30], "crate", 0.5)
    assert (metric["pixels"], metric["known"], metric["mask_score"]) == (400, 1.0, 0.875)


def test_a_guessed_scale_is_passed_on() -> None:
    facts = facts_of(seen(scale_guessed=True))
    assert (facts["scale_guessed"], facts["kind"], facts["unit"], facts["model"]) == (True, "metric", "m", "tiny")
    assert facts["boxes_dropped"] == {"empty": 2}
    assert not facts_of(seen())["scale_guessed"]


def test_masks_can_be_left_out() -> None:
    assert facts_of(seen(), masks=False)["objects"][0]["mask"] is None


def test_the_raggedest_masks_fit_a_message() -> None:
    """512 masks of noise at 640x480: some are left out, the numbers of all are there."""
    size = Size(480, 640)
    depth_map = depth_map_of(np.full(size, 2.0, np.float32))
    mask = np.random.default_rng(0).random(size) < 0.5
    mask[40:] = False  # 12,800 runs each
    box = Box(0, 0, 640, 480, "\\" * 64, 0.123456789)
    one = Ruler(depth_map).measure(box, mask, 0.5)
    facts = facts_of(Objects(depth_map, (one,) * 512))
    message = pack_json("objects/front", facts)
    assert len(message) < LARGEST_JSON_BYTES
    masks = [found["mask"] for found in facts["objects"]]
    assert sum(len(mask["runs"]) for mask in masks if mask) <= MAX_RUNS
    assert 5 <= sum(mask is not None for mask in masks) < 512
    assert all(found["distance_m"] == 2.0 for found in facts["objects"])
    assert json.loads(message[64:])["objects"] == facts["objects"]
