"""Cameras and boxes to objects: the whole pipeline, real sockets, detectors and readers in processes of their own.

Most tests segment with ``tests.detections.interior``, which takes all pixels of a box as the object: what is tested
here surrounds the segmenter. The last one runs the real network, with random weights.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import av
import numpy as np
import pytest
import zmq

from pipelines import objects
from pipelines.components.window import Preview
from pipelines.process.runner import run
from pipelines.registry import RECIPES, load
from stream.client.subscriber import Subscriber
from stream.core.config_file import parse
from stream.core.view_controls import ViewControls
from stream.errors import SettingsError
from stream.frames import Frame
from stream.objects import Box
from stream.runtime.pipeline import Pipeline
from stream.wire.json_topics import parse_json
from stream.wire.message import subscription
from tests.detections.interior import Interior

CONFIG = Path(__file__).parents[2] / "configs" / "objects.toml"
DETECTOR = Path(__file__).parents[1] / "detections" / "box_program.py"
BOX = {"box": [10, 10, 50, 40], "label": "thing"}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Traces of this file's tests are kept apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "objects-cache"))


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/depth"


@pytest.fixture
def detector(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """``detector("front", text, ...)``: a program that sends these texts on boxes/front in turn; its endpoint."""
    with ExitStack() as stack:

        def start(stream: str, *texts: str) -> str:
            where = f"ipc://{tmp_path}/boxes-{stream}"
            program = subprocess.Popen([sys.executable, str(DETECTOR), where, stream, "0.02", *texts])
            stack.callback(program.wait)
            stack.callback(program.kill)
            return where

        yield start


def scene(name: str, **changes: Any) -> dict[str, Any]:
    return {"source": "synthetic", "name": name, "width": 96, "height": 64, "fps": 10, **changes}


def settings_of(endpoint: str, *cameras: dict[str, Any], **tables: Any) -> objects.ObjectsSettings:
    publish = {"endpoints": [endpoint], "max_age_ms": 10_000}
    data = {"pipeline": "objects", "cameras": cameras, "publish": publish, **tables}
    return parse(objects.ObjectsSettings, data, "test")


def build(endpoint: str, *cameras: dict[str, Any], **tables: Any) -> tuple[Pipeline, Interior]:
    segmenter = Interior()
    return objects.build(settings_of(endpoint, *cameras, **tables), segmenter=segmenter), segmenter


@contextmanager
def reader(endpoint: str, topic: str) -> Iterator[Callable[[], dict[str, Any]]]:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.linger, socket.rcvtimeo = 0, 20_000
        socket.subscribe(subscription(topic))
        socket.connect(endpoint)

        def read() -> dict[str, Any]:
            got, facts = parse_json(socket.recv())
            assert got == topic
            return facts

        yield read


def until(read: Callable[[], dict[str, Any]], holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    end = monotonic() + 20
    while monotonic() < end:
        if holds(facts := read()):
            return facts
    raise AssertionError("it was never told")


@pytest.mark.slow
def test_boxes_of_the_config_are_looked_at_in_every_image(endpoint: str) -> None:
    """Each camera has its own; relative depth gives nearness and no metres; every frame is accounted for."""
    cameras = [scene("left", boxes=[BOX, {"box": [60, 0, 96, 64]}]), scene("right", seed=1)]
    pipe, _ = build(endpoint, *cameras)
    with pipe, reader(endpoint, "objects/left") as left, reader(endpoint, "objects/right") as right:
        told, empty = [left() for _ in range(3)], right()
    assert empty["objects"] == []
    for facts in told:
        thing, other = facts["objects"]
        assert (thing["box"], thing["label"], thing["pixels"], thing["known"]) == (BOX["box"], "thing", 1200, 1.0)
        assert 0 <= thing["nearness"] <= thing["near_nearness"] <= 1
        assert thing["mask"] == {"x": 10, "y": 10, "width": 40, "height": 30, "runs": [0, 1200]}
        assert (thing["centre_m"], other["label"], facts["kind"]) == (None, "", "relative_inverse")
        assert (facts["width"], facts["height"], facts["segmenter"]) == (96, 64, "insides of boxes")
    assert [facts["seq"] for facts in told] == sorted({facts["seq"] for facts in told})
    stats = pipe.stats()
    assert stats.unaccounted == 0
    assert {account.terminal for account in stats.accounts} == {"publish", "publish.objects"}
    assert stats.statistics["objects"]["objects"] >= 6
    assert "insides of boxes" in stats.notes


@pytest.mark.slow
def test_depth_does_not_wait_for_objects(endpoint: str) -> None:
    """A segmenter that stands still holds up no robot."""

    class Stands(Interior):
        going = threading.Event()

        def encode(self, images: Sequence[Any]) -> list[Any]:
            self.going.wait(20)
            return super().encode(images)

    segmenter = Stands()
    pipe = objects.build(settings_of(endpoint, scene("front", boxes=[BOX])), segmenter=segmenter)
    with pipe, Subscriber(endpoint, "front", latest=False) as depth:
        try:
            for _ in range(5):
                depth.read(20.0)
            assert not segmenter.decoded
        finally:
            segmenter.going.set()
    assert pipe.stats().unaccounted == 0


@pytest.mark.slow
def test_boxes_come_from_a_program_that_finds_them(endpoint: str, detector: Callable[..., str]) -> None:
    """Boxes found in images of half the size; malformed, outside and excess ones are counted; nothing stops."""
    good = {"width": 48, "height": 32, "boxes": [{"box": [5, 5, 25, 20], "label": "half", "score": 0.5}]}
    many = {"boxes": [{"box": [0, 0, 9, 9]}] * 50 + [{"box": [500, 0, 900, 9]}, {"box": [9, 9, 1, 1]}]}
    where = detector("front", json.dumps(good), json.dumps(many), "{", '{"boxes": [{"box": "all"}]}')
    tables = {"boxes": {"connect": [where], "max_age_ms": 5000}, "objects": {"max_boxes": 4, "masks": False}}
    pipe, _ = build(endpoint, scene("front", fps=20), **tables)
    with pipe, reader(endpoint, "objects/front") as read:
        half = until(read, lambda facts: any(found["label"] == "half" for found in facts["objects"]))
        cut = until(read, lambda facts: facts["boxes_dropped"])
    (found,) = half["objects"]
    assert (found["box"], found["score"], found["mask"]) == ([10, 10, 50, 40], 0.5, None)
    assert len(cut["objects"]) == 4
    assert cut["boxes_dropped"] == {"too many": 46, "outside of the image": 1, "inverted": 1}
    stats = pipe.stats()
    assert stats.statistics["objects"]["left out: malformed messages"] > 0
    assert stats.unaccounted == 0


@pytest.mark.slow
def test_boxes_come_from_a_detector_in_python(endpoint: str) -> None:
    """It is called with each frame, in one thread; its boxes are added to those of the config."""
    threads: set[str] = set()

    def bright(frame: Frame) -> list[Box]:
        threads.add(threading.current_thread().name)
        row, column = np.unravel_index(int(frame.image.sum(axis=2).argmax()), frame.size)
        return [Box(column - 4, row - 4, column + 4, row + 4, "bright")]

    pipe = objects.build(settings_of(endpoint, scene("front", boxes=[BOX])), detect=bright, segmenter=Interior())
    with pipe, reader(endpoint, "objects/front") as read:
        facts = read()
    assert [found["label"] for found in facts["objects"]] == ["thing", "bright"]
    assert threads == {"objects"}


@pytest.mark.slow
def test_previews_show_objects(endpoint: str) -> None:
    """The camera's image, tinted at the object; made only for subscribers."""
    pipe, _ = build(endpoint, scene("front", boxes=[{"box": [0, 0, 96, 64]}]))
    plain, _ = build(f"{endpoint}2", scene("front", boxes=[{"box": [0, 62, 2, 64]}]))
    images = []
    for each, where in ((pipe, endpoint), (plain, f"{endpoint}2")):
        with each, Subscriber(where, "front", topic="preview") as viewer:
            images.append(viewer.read(20.0).array().astype(float))
    tinted, untouched = images
    assert tinted.shape == (64, 96, 3)
    green = tinted[20:60].mean(axis=(0, 1)) - untouched[20:60].mean(axis=(0, 1))
    assert green[1] == max(green)


@pytest.mark.slow
def test_the_window_and_the_video_show_a_row(endpoint: str, tmp_path: Path) -> None:
    """The image with its objects, and its depth."""
    preview = Preview(ViewControls("inferno"))
    tables = {"record": {"path": str(tmp_path / "{camera}.mp4")}}
    settings = settings_of(endpoint, scene("front", boxes=[BOX], seconds=1.0), **tables)
    ending = run(objects.build(settings, preview, segmenter=Interior()))
    assert ending.error is None
    assert ending.stats.unaccounted == 0
    view = preview.sink.take()["front"]
    assert view.image.shape[1] == 2 * 96
    with av.open(str(tmp_path / "front.mp4")) as container:
        assert {frame.width for frame in container.decode(video=0)} == {192}


@pytest.mark.parametrize(
    ("camera", "tables", "message"),
    [
        ({"boxes": [{"box": [9, 0, 3, 9]}]}, {}, r"\[cameras\.0\.boxes\.0\] box = \[9\.0, .*: inverted"),
        ({"boxes": [{"box": [0, 0, float("nan"), 9]}]}, {}, r"\[cameras\.0\.boxes\.0\] box\.2 = nan: .*finite"),
        ({"boxes": [{"box": [5, 5, 5, 9]}]}, {}, r"\[cameras\.0\.boxes\.0\] box = .*: empty"),
        ({"boxes": [{**BOX, "lable": "x"}]}, {}, r'unknown key "lable".*did you mean "label"'),
        ({"boxes": [BOX] * 5000}, {}, r"\[cameras\.0\] boxes = .*at most 512"),
        ({"boxes": [BOX] * 9}, {"objects": {"max_boxes": 8}}, r"\[cameras\.0\.boxes\] 9 boxes, and at most 8"),
        ({}, {}, r"\[boxes\] nothing says where objects are"),
        ({}, {"boxes": {"connect": ["nowhere"]}}, r"\[boxes\] connect = .*cannot connect to \"nowhere\""),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(
    endpoint: str, camera: dict[str, Any], tables: dict[str, Any], message: str
) -> None:
    """Before anything starts; each mistake in one line."""
    with pytest.raises(SettingsError, match=message) as refused:
        build(endpoint, scene("front", **camera), **tables)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_box_outside_of_its_cameras_images_ends_the_run_with_the_reason(endpoint: str) -> None:
    """The size of an image is known when the first one is there."""
    pipe, _ = build(endpoint, scene("front", boxes=[{"box": [500, 10, 600, 40]}]))
    ending = run(pipe, seconds=20)
    assert isinstance(ending.error, SettingsError)
    assert ending.exit_status == 2
    assert '[cameras.boxes.0] box = [500.0, 10.0, 600.0, 40.0] is outside of the images of "front"' in str(ending.error)


def test_the_config_is_a_recipe() -> None:
    """`depthstream run configs/objects.toml`."""
    settings, pipe = load(CONFIG)
    assert isinstance(settings, RECIPES["objects"].settings)
    assert pipe.graph() == [
        "capture.front",
        "depth [preprocess > infer]  after capture.front (latest, capacity 1)",
        "publish  after depth (latest, capacity 1)",
        "objects  after depth (latest, capacity 1)",
        "publish.objects  after objects (latest, capacity 1)",
    ]


@pytest.mark.slow
def test_the_real_segmenter_makes_the_masks(endpoint: str) -> None:
    """EfficientViT-SAM L0 with random weights: masks have the image's size, and every message names the weights."""
    camera = scene("front", fps=2, boxes=[BOX, {"box": [60, 0, 96, 64]}])
    settings = settings_of(endpoint, camera, segmenter={"weights": "random", "device": "cpu", "threads": 1})
    pipe = objects.build(settings)
    with pipe, reader(endpoint, "objects/front") as read:
        facts = read()
    assert (facts["segmenter"], facts["segmenter_weights"]) == ("efficientvit_sam_l0", "random")
    assert len(facts["objects"]) == 2
    for found in facts["objects"]:
        assert 0 <= found["pixels"] <= 96 * 64
        assert np.isfinite(found["mask_score"])
        if found["mask"]:
            assert sum(found["mask"]["runs"][1::2]) == found["pixels"]
    assert any("RANDOM WEIGHTS" in note for note in pipe.stats().notes)
    assert pipe.stats().unaccounted == 0
