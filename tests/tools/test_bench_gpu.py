"""The GPU benchmark on the CPU's tensors: its numbers mean nothing here, but all of its code runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stream.frames import Size
from stream.models.midas_small import MIDAS_SMALL
from stream.models.networks.efficientvit_sam.network import Config, EfficientVitSam
from stream.models.tiny import TINY
from stream.preprocess import cpu
from stream.segmentation.segmenter import Segmenter
from stream.segmentation.settings import SegmenterSettings
from tools.bench import gpu as bench_gpu
from tools.bench.lib import gpu_measurements, gpu_models
from tools.bench.lib.gpu_measurements import (
    Rig,
    around_the_network,
    engine_only,
    host_ms,
    official,
    official_input,
    over_device,
    rates,
    ratio,
)
from tools.bench.lib.gpu_models import BOXES, boxes, steps_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path))


@pytest.fixture
def rig() -> Rig:
    return Rig(TINY, "random", Size(96, 128), "cpu")


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_every_step_runs_and_counts_its_images(rig: Rig) -> None:
    """Images that are still in flight are not counted."""
    with rig.estimator("cuda", batch=2) as estimator:
        steps = {
            "whole": over_device(estimator, rig.frames(2)),
            "official": official(estimator, rig.frames(1)[0]),
            "engine": engine_only(estimator, 2, rig.camera),
            "around": around_the_network(rig, TINY.spec),
        }
        assert [step() for step in steps.values()] == [0, 1, 2, 1]
        assert steps["whole"]() == 2
        found = rates(steps, 2, 0.02, "cpu")
        assert all(len(values) == 2 and min(values) > 0 for values in found.values())
        assert host_ms(steps["whole"], 0.02) > 0


def test_a_ratio_is_taken_within_a_round() -> None:
    """A machine that becomes slower affects both."""
    assert ratio({"a": [30.0, 20.0, 8.0], "b": [10.0, 10.0, 2.0]}, "a", "b") == 3


def test_the_official_way_gives_the_networks_input() -> None:
    """The numbers that we preprocess to, in float64."""
    image = np.random.default_rng(0).integers(0, 256, (97, 133, 3), np.uint8)
    expected = cpu.to_network([image], MIDAS_SMALL.spec)
    np.testing.assert_allclose(official_input(image, MIDAS_SMALL.spec), expected, rtol=0, atol=5e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_all_goals_are_measured(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU most are missed, as they should be; the report can be written."""
    monkeypatch.setattr(bench_gpu, "ROUNDS", 1)
    monkeypatch.setattr(bench_gpu, "BATCH", 2)  # half precision on a CPU is slow
    monkeypatch.setattr(gpu_measurements, "WARM_UP", 1)
    monkeypatch.setattr(bench_gpu, "FULL_HD", Size(48, 64))
    results = list(bench_gpu.measurements(rig, 0.01))
    assert len(results) == 7
    report = json.loads(json.dumps(bench_gpu.report("NVIDIA H200 NVL", rig, results)))
    assert report["versions"]["torch"] == torch.__version__
    assert [each["goal"] for each in report["goals"]] == [result.goal for result in results]


def test_files_are_named_after_the_card() -> None:
    """In letters that every file system takes."""
    assert bench_gpu.file_name("NVIDIA H200 NVL") == "gpu-nvidia-h200-nvl.json"
    assert bench_gpu.file_name("Tesla T4 (MIG 1g.5gb)") == "gpu-tesla-t4-mig-1g-5gb.json"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU, and here is one")
def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    """And writes nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench.gpu", "--folder", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["tools.bench.gpu: no CUDA GPU that torch can use here: nothing is measured"]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_boxes_are_measured_together_and_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every box is counted, both ways, by a real decoder with few channels."""
    monkeypatch.setattr(gpu_models, "ROUNDS", 1)
    monkeypatch.setattr(gpu_measurements, "WARM_UP", 1)
    settings = SegmenterSettings(device="cpu", weights="random", threads=1)
    with Segmenter(settings, network=few_channels) as segmenter:
        steps = steps_of(segmenter._network(), segmenter.encode([np.zeros((48, 64, 3), np.uint8)]))
        assert {name: step() for name, step in steps.items()} == {"in turn": BOXES, "together": BOXES}
        (result,) = boxes(segmenter, 0.01, "cpu")
    assert result.goal.startswith("47 boxes together / in turn, graphs off")


def few_channels() -> EfficientVitSam:
    torch.manual_seed(0)
    shape = Config((8, 8, 32, 32, 32), (1, 1, 1, 1, 1), neck=1, neck_expansion=1, side=512, channels=64)
    return EfficientVitSam(shape).eval()
