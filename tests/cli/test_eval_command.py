"""`depthstream eval`: how good a network is, as a table, JSON and a sheet."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.cli.evaluate import Results, evaluate
from pipelines.evaluation.folder import ImagesFolder
from pipelines.evaluation.summary import METRIC_NAMES
from stream.inference.cpu_estimator import CpuEstimator
from stream.settings import ModelSettings

Command = Callable[..., Any]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three images of a bright block on a floor, with depth that is not known everywhere."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for number in range(3):
        depth = np.repeat(1 / np.linspace(0.1, 0.5, 96)[:, None], 128, axis=1).astype(np.float32)
        image = np.repeat(np.linspace(60, 160, 96).astype(np.uint8)[:, None], 128, axis=1)
        depth[30:80, 20 + 20 * number : 50 + 20 * number] = 1.5
        image[30:80, 20 + 20 * number : 50 + 20 * number] = 230
        depth[:4] = np.nan
        assert cv2.imwrite(str(folder / f"block{number}.png"), cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
        np.save(folder / f"block{number}.npy", depth)
    return folder


@pytest.mark.slow
def test_a_folder_is_scored(depthstream: Command, pairs: Path, tmp_path: Path) -> None:
    """Table, complete JSON, and a sheet with a row of four panels for each image."""
    called = depthstream("eval", "--data", pairs, "--json", "eval.json", "--sheet", "sheet.png")
    assert called.status == 0, called.err
    for text in ("pairs, 3 images", "Spearman", "lower is nearer", "tiny"):
        assert text in called.out
    result = json.loads((tmp_path / "eval.json").read_text(), parse_constant=pytest.fail)
    assert (result["model"], result["weights"], result["interrupted"]) == ("tiny", "trained", False)
    assert result["flicker"] == []
    (data,) = result["data"]
    assert (data["size"], data["scored"], len(data["images"])) == (3, 3, 3)
    for statistics in (data["model"]["mean"], data["model"]["median"], *(p["model"] for p in data["images"])):
        assert set(statistics) == set(METRIC_NAMES)
        assert all(isinstance(value, float) and math.isfinite(value) for value in statistics.values())
    spearman = [photo["model"]["spearman"] for photo in data["images"]]
    assert data["model"]["mean"]["spearman"] == pytest.approx(np.mean(spearman))
    assert data["baseline"]["mean"]["self_agreement"] is None
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 4 * 280
    assert sheet.shape[0] > 3 * 210


@pytest.mark.slow
def test_photographs_without_depth_are_looked_at(depthstream: Command, pairs: Path, tmp_path: Path) -> None:
    """The agreement of two sizes is all that can be measured; the sheet shows both."""
    for depth in pairs.glob("*.npy"):
        depth.unlink()
    called = depthstream("eval", "--data", pairs, "--json", "eval.json", "--sheet", "sheet.png")
    assert called.status == 0, called.err
    assert "agreement of 128 and 192 px" in called.out
    assert "RMSE," not in called.out.split("fit before")[0]
    (data,) = json.loads((tmp_path / "eval.json").read_text(), parse_constant=pytest.fail)["data"]
    assert all(list(photo["model"]) == ["self_agreement"] for photo in data["images"])
    assert -1 <= data["model"]["median"]["self_agreement"] <= 1
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 4 * 280


@pytest.mark.slow
def test_rendered_views_are_scored_and_watched(depthstream: Command, tmp_path: Path) -> None:
    """Three views, marked by their family, and flicker on both tours; random weights are marked everywhere."""
    called = depthstream("eval", "--views", 3, "--json", "eval.json", "--weights", "random")
    assert called.status == 0, called.err
    assert "RANDOM WEIGHTS" in called.out
    assert "random weights" in called.err
    assert "flicker of static pixels, tour 1" in called.out
    result = json.loads((tmp_path / "eval.json").read_text(), parse_constant=pytest.fail)
    assert result["weights"] == "random"
    assert "RANDOM WEIGHTS" in result["engine"]
    (data,) = result["data"]
    assert [photo["name"].split()[1] for photo in data["images"]] == ["0", "1", "2"]
    assert [clip["seed"] for clip in result["flicker"]] == [0, 1]
    assert all(clip["shown"]["worst"] >= clip["shown"]["mean"] > 0 for clip in result["flicker"])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--data", "nowhere"), 2, "--data nowhere: no such folder"),
        (("--data", "."), 1, "nothing to evaluate"),
        (("--model", "tinny"), 2, 'no model "tinny"; did you mean "tiny"?'),
        (("--sheet", "sheet.jpg"), 2, "must end in .png"),
        (("--json", "no/such/eval.json"), 1, "the folder no/such does not exist"),
        (("--data", "synthetic", "--data", "synthetic"), 2, "two data sets have one name"),
    ],
)
def test_an_error_is_one_line(depthstream: Command, arguments: tuple[str, ...], status: int, message: str) -> None:
    """Before anything is loaded."""
    called = depthstream("eval", *arguments)
    assert called.status == status
    assert called.err.startswith("depthstream: ")
    assert message in called.err
    assert len(called.err.strip().splitlines()) == 1


def test_a_bad_image_does_not_take_the_others_with_it(depthstream: Command, pairs: Path) -> None:
    """What was scored is printed, then the file is named; exit status 1."""
    np.save(pairs / "block1.npy", np.ones((5, 5)))
    called = depthstream("eval", "--data", pairs)
    assert called.status == 1
    assert "only 1 of 3 images" in called.out
    assert "block1.npy: expected (96, 128)" in called.err


def test_an_interrupt_keeps_what_was_scored(cache_folder: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after the second image: two are known, and it is noted that this is not all."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(cache_folder))
    results = Results()

    def interrupt_after_two(_: str) -> None:
        if len(results.by_data_set["pairs"]) == 2:
            signal.raise_signal(signal.SIGINT)

    evaluate(CpuEstimator(ModelSettings()), [ImagesFolder(pairs)], results, interrupt_after_two, with_sheet=True)
    assert results.interrupted
    assert [result.name for result in results.by_data_set["pairs"]] == ["block0", "block1"]
    assert len(results.rows) == 2
