"""One object from image to depth: the five lines of the README."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stream
from stream import open_model
from stream.core.machine import probe
from stream.errors import ImageError, SettingsError, UnknownModel, WeightsError
from stream.frames import Intrinsics, Size
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.device_estimator import DeviceEstimator
from stream.settings import ModelSettings
from tests.gpu.devices import by_network


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Traces and weights of this file's tests are kept apart from the user's."""
    folder = tmp_path_factory.getbasetemp() / "estimator-cache"
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(folder))
    return folder


def make_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(48, 64), (33, 101), (8, 200)])
def test_depth_has_the_images_size_and_says_what_it_is(height: int, width: int) -> None:
    """float32, finite, with kind, unit, model and weights."""
    with open_model("tiny") as model:
        depth = model(make_image(height, width))
    assert depth.depth.shape == (height, width)
    assert depth.depth.dtype == np.float32
    assert np.isfinite(depth.depth).all()
    assert (depth.kind, depth.unit, depth.model, depth.weights) == ("relative_inverse", "none", "tiny", "trained")


@pytest.mark.skipif(not probe().avx512_bf16, reason="this CPU does not multiply bfloat16")
def test_bfloat16_is_used_once_the_gate_has_accepted_it(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The verdict is kept: the second start believes it."""
    # "stream" itself may have been set up by a command
    caplog.set_level("INFO", logger="stream.engines.gate.candidates")
    settings, image = ModelSettings(precision="bf16"), make_image(48, 64)
    with CpuEstimator(ModelSettings()) as exact:
        expected = exact(image).depth
    for words in ("accepted, against float32", "accepted earlier"):
        caplog.clear()
        with CpuEstimator(settings) as model:
            depth = model(image).depth
            assert "bfloat16" in model.describe()
        assert words in caplog.text
    assert (cache / "traces" / "tiny-bf16-1.verdict.json").exists()
    assert 0 < np.abs(depth - expected).max() < 0.1 * np.ptp(expected)


def test_the_same_image_gives_the_same_depth() -> None:
    """Also after the model was closed and loaded again, now from the trace on disk."""
    model = open_model("tiny")
    first = model(make_image(48, 64)).depth
    model.close()
    assert np.array_equal(model.load()(make_image(48, 64)).depth, first)
    model.close()


@pytest.mark.slow
def test_inverse_depth_of_midas_is_never_negative() -> None:
    """A cubic resize overshoots; decoding comes after it."""
    with open_model("midas_small", weights="random") as model:
        depth = model(make_image(480, 640))
        told = model.describe()
    assert depth.depth.min() >= 0
    assert depth.weights == "random"
    assert told.endswith("RANDOM WEIGHTS: speed only")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3), np.float32),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((9, 20_000, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    """With the array's shape or size in the message."""
    with open_model("tiny") as model, pytest.raises(ImageError, match=r"\d"):
        model(image)


def test_an_image_that_could_not_be_read_is_told_apart() -> None:
    """What `cv2.imread` gives for a file that is not there."""
    with open_model("tiny") as model, pytest.raises(ImageError, match=r"NoneType: cv2\.imread gives None"):
        model(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"threads": 0}, "threads = 0"),
        ({"weights": "foo"}, 'weights = "foo"'),
        ({"name": None}, "name = None"),
    ],
)
def test_what_cannot_be_opened_is_our_error(asked: dict[str, Any], words: str) -> None:
    """One line, as from a config file."""
    with pytest.raises(SettingsError, match=f"^open_model: {words}.*$"):
        open_model(**asked)


def test_metres_are_no_guess_with_intrinsics() -> None:
    """Given at any size of the same camera's images; without them the depth map says so."""

    class Flat(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.ones_like(pixels[:, 0])

    settings = ModelSettings(name="metric3d_v2_small", weights="random")
    model = DeviceEstimator(settings, by_network("cpu", Flat()), "cpu")
    lens = Intrinsics.of_view(60.0, Size(480, 640))
    known, guessed = model(make_image(48, 64), lens), model(make_image(48, 64))
    assert not known.scale_guessed
    assert guessed.scale_guessed
    assert known.frame.intrinsics == lens.scaled_to(Size(48, 64))
    assert known.depth[20, 30] != pytest.approx(guessed.depth[20, 30])
    model.close()


def test_the_package_shows_what_it_has() -> None:
    """Also what is loaded on first use; values with arrays are printed without them, and comparable."""
    assert {"open_model", "Estimator", "DepthMap"} <= set(dir(stream))
    assert stream.__version__ == version("depthstream")
    with open_model("tiny") as model:
        one, other = model(make_image(48, 64)), model(make_image(48, 64))
    assert one == one  # noqa: PLR0124
    assert one != other
    assert len({one, other}) == 2
    assert len(repr(one)) < 120


def test_missing_weights_are_told_when_the_model_is_opened(cache: Path) -> None:
    """Not at the first image."""
    with pytest.raises(WeightsError, match=r"depthstream models pull midas_small.*midas_v21_small_256\.pt"):
        open_model("midas_small")


def test_unknown_names_and_sizes_are_refused_without_loading() -> None:
    """Both are known to be wrong before torch is needed."""
    with pytest.raises(UnknownModel, match='did you mean "tiny"'):
        open_model("tinny")
    with pytest.raises(SettingsError, match="a multiple of 32"):
        CpuEstimator(ModelSettings(side=100))


def test_expected_sizes_are_compiled_in_advance(cache: Path) -> None:
    """The trace for a camera's size is there before its first frame."""
    with CpuEstimator(ModelSettings()) as model:
        model.load([Size(480, 640)])
        assert any("256x192" in path.name for path in (cache / "traces").iterdir())
