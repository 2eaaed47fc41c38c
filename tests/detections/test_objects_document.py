"""docs/how-to/objects.md is right: its programs run, in processes of their own, and its tables name every key."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

from pipelines import objects
from stream.core.config_file import parse
from stream.detections.settings import BoxTopicSettings
from stream.detections.subscription import BoxTopic
from stream.frames import Kind
from stream.objects import Box, Objects, Ruler
from stream.sinks.objects_json import facts_of
from tests.detections.interior import Interior, depth_map_of, interior
from tests.detections.test_box_subscription import frame, until

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "how-to" / "objects.md").read_text(encoding="utf-8")
DETECTOR, IN_PYTHON, READER = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Traces of this file's tests are kept apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "objects-cache"))


def command(program: str, replaced: str, by: str) -> list[str]:
    assert replaced in program
    return [sys.executable, "-W", "error", "-c", program.replace(replaced, by)]


@pytest.mark.slow
def test_the_documents_detector_and_reader_work_with_the_pipeline(tmp_path: Path) -> None:
    """Three processes: a detector, the pipeline and a reader, whose lines list the objects."""
    where = {name: f"ipc://{tmp_path}/{name}" for name in ("boxes", "depth")}
    data = {
        "pipeline": "objects",
        "cameras": [{"source": "synthetic", "name": "front", "width": 96, "height": 64, "fps": 10}],
        "boxes": {"connect": [where["boxes"]], "max_age_ms": 60_000},
        "publish": {"endpoints": [where["depth"]], "max_age_ms": 60_000},
    }
    detector = subprocess.Popen(command(DETECTOR, "tcp://127.0.0.1:5570", where["boxes"]))
    try:
        with BoxTopic(BoxTopicSettings(connect=(where["boxes"],), max_age_ms=60_000), ["front"]) as boxes:
            until(lambda: boxes(frame()))  # it is there: what the reader gets then has boxes in it
        pipe = objects.build(parse(objects.ObjectsSettings, data, "test"), segmenter=Interior())
        with pipe:
            until(lambda: pipe.stats().statistics["objects"]["objects"] > 0, 30)
            reader = command(READER, "tcp://127.0.0.1:5560", where["depth"])
            done = subprocess.run(reader, capture_output=True, text=True, check=False, timeout=60)
    finally:
        detector.kill()
        detector.wait()
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"person nearness 0\.\d+ 100% known \n", done.stdout)
    assert len(READER.splitlines()) <= 12


def test_the_reader_unpacks_masks_and_says_metres() -> None:
    """Its last lines, on facts of ours."""
    size = (48, 64)
    depth_map = depth_map_of(np.full(size, 2.5, np.float32), scale_guessed=True)
    mask = interior(Box(5, 5, 20, 30), depth_map.size)
    mask[10, 10] = False
    seen = Objects(depth_map, (Ruler(depth_map).measure(Box(5, 5, 20, 30, "cup"), mask, 1.0),))
    names: dict[str, object] = {"image": facts_of(seen), "np": np, "print": lambda *words: names.update(said=words)}
    exec(READER[READER.index("for thing in") :], names)
    assert names["said"] == ("cup", "2.5 m", "100% known", "GUESSED")
    np.testing.assert_array_equal(names["inside"], mask[5:30, 5:20])


@pytest.mark.slow
def test_the_documents_detector_in_python_runs(tmp_path: Path) -> None:
    """With the config as it is, but for random weights, which need no download, and a camera that ends by itself.

    What a slow machine needs for an image makes none too old here.
    """
    config = tmp_path / "objects.toml"
    text = (ROOT / "configs" / "objects.toml").read_text(encoding="utf-8")
    for replaced, by in {
        'weights = "trained"': 'weights = "random"',
        "tcp://127.0.0.1:5560": f"ipc://{tmp_path}/o",
        "fps = 10": "fps = 10\nseconds = 1",
        "max_age_ms = 5000 ": "max_age_ms = 60_000 ",
    }.items():
        assert text.count(replaced) == 1
        text = text.replace(replaced, by)
    config.write_text(text)
    program = IN_PYTHON.replace("configs/objects.toml", str(config)).replace("seconds=20", "seconds=120")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    statistics = eval(done.stdout)
    assert statistics["objects"] == 3 * statistics["images with boxes"] > 0


def test_the_documents_config_is_one() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    settings = parse(objects.ObjectsSettings, {"pipeline": "objects", **tomllib.loads(text)}, "docs")
    assert settings.cameras[0].boxes[0].label == "door"


@pytest.mark.parametrize("kind", ["metric", "relative"])
def test_every_key_is_explained(kind: Kind) -> None:
    """Of an image and of an object."""
    depth_map = depth_map_of(np.ones((48, 64), np.float32), kind=kind)
    box = Box(5, 5, 20, 30)
    facts = facts_of(Objects(depth_map, (Ruler(depth_map).measure(box, interior(box, depth_map.size), 1.0),)))
    keys = [*facts, *facts["objects"][0], *facts["objects"][0]["mask"], *get_type_hints(Box)]
    missing = [key for key in keys if f"`{key}`" not in TEXT and key not in ("x0", "y0", "x1", "y1")]
    assert not missing
