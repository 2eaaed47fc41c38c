"""The demo and the video recipe, run for real with the embedded network."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipelines import demo, video
from pipelines.process.runner import run
from stream.settings import ImagesCamera, ModelSettings, RecordSettings, SyntheticCamera


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Traces of this file's tests are kept apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "recipes-cache"))


def images_in(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def synthetic(**changes: object) -> SyntheticCamera:
    return SyntheticCamera.model_validate(
        {"source": "synthetic", "width": 96, "height": 64, "fps": 20, "seconds": 1.0, **changes}
    )


@pytest.mark.slow
def test_the_demo_accounts_for_every_frame_and_knows_its_error(tmp_path: Path) -> None:
    """A live run: an mp4 with three panels, scores against ground truth, every frame accounted for."""
    settings = demo.DemoSettings(
        pipeline="demo", camera=synthetic(), record=RecordSettings(path=str(tmp_path / "demo.mp4"))
    )
    ending = run(demo.build(settings))
    assert ending.error is None
    assert ending.stats.unaccounted == 0
    (account,) = ending.stats.accounts
    images = images_in(tmp_path / "demo.mp4")
    assert len(images) == account.published > 0
    assert images[0].shape[1] == 3 * 96
    statistics = ending.stats.statistics["depth vs ground truth"]
    assert statistics["frames"] >= account.published
    assert statistics["spearman"] > 0.5


def test_the_demos_edges_are_those_of_a_live_pipeline(tmp_path: Path) -> None:
    """Drops in two places only: before the network and before the sink."""
    pipe = demo.build(demo.DemoSettings(pipeline="demo", record=RecordSettings(path=str(tmp_path / "demo.mp4"))))
    assert pipe.graph() == [
        "capture",
        "depth [preprocess > infer]  after capture (latest, capacity 1)",
        "show [score > render > compose > record]  after depth (drop_oldest, capacity 1)",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["latency", "throughput"])
def test_the_video_recipe_drops_nothing(layout: str, tmp_path: Path) -> None:
    """Every frame comes out, for two cameras at once, in both layouts."""
    settings = video.VideoSettings(
        pipeline="video",
        cameras=(
            synthetic(name="left", pace="fast"),
            synthetic(name="right", pace="fast", seed=1, seconds=0.5),
        ),
        model=ModelSettings.model_validate({"layout": layout}),
        record=RecordSettings(path=str(tmp_path / "{camera}.mp4")),
    )
    ending = run(video.build(settings))
    assert ending.error is None
    assert {a.camera: (a.captured, a.published, a.dropped) for a in ending.stats.accounts} == {
        "left": (20, 20, {}),
        "right": (10, 10, {}),
    }
    assert len(images_in(tmp_path / "left.mp4")) == 20
    assert len(images_in(tmp_path / "right.mp4")) == 10


def test_a_camera_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    """The other camera's video is finished all the same."""
    settings = video.VideoSettings(
        pipeline="video",
        cameras=(
            synthetic(name="good", pace="fast", seconds=0.3),
            ImagesCamera(source="images", name="bad", path=str(tmp_path / "nothing")),
        ),
        record=RecordSettings(path=str(tmp_path / "{camera}.mp4")),
    )
    ending = run(video.build(settings))
    assert ending.exit_status == 1
    assert "nothing" in str(ending.error)
    assert len(images_in(tmp_path / "good.mp4")) == 6
