"""The cost of batches: real engines, numbers that add up, and no time of a device without synchronisation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from pipelines.benchmark.batch_curve import (
    WARM_UP,
    CpuBench,
    DeviceBench,
    Point,
    check_synchronised,
    measure,
    recommended,
    steps,
)
from pipelines.benchmark.memory import peak_resident_mib
from pipelines.cli.bench.engine import bench_engine
from stream.engines.eager import EagerEngine
from stream.errors import EngineError, UsageError
from stream.frames import Batch, Size

SIZE = Size(32, 64)


class Counting(torch.nn.Module):
    """Notes the batches that it is run with."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(pixels))
        return pixels.sum(1)


def test_every_batch_is_warmed_up_and_measured() -> None:
    """On a device, here the CPU's; rising, so that memory is what this batch needs."""
    network, progress = Counting(), list[int]()
    engine = EagerEngine("net", lambda: network, device=torch.device("cpu"), max_batch=3)
    points = measure(DeviceBench(engine, SIZE, "cpu"), 3, 0.01, progress.append)
    assert [point.batch for point in points] == progress == [1, 2, 3]
    assert network.batches == sorted(network.batches)
    for point in points:
        assert network.batches.count(point.batch) == point.runs + WARM_UP
        assert 0 < point.p50_ms <= point.p95_ms
        assert point.fps == pytest.approx(1e3 * point.batch / point.p50_ms)


def test_the_cpus_input_has_the_asked_size() -> None:
    """As the estimator's engine takes it."""
    shapes: list[tuple[int, ...]] = []

    def infer(batch: Batch) -> None:
        shapes.append(batch.pixels.shape)

    measure(CpuBench(infer, SIZE), 2, 0.0, lambda batch: None)
    assert set(shapes) == {(1, 3, 32, 64), (2, 3, 32, 64)}


@pytest.mark.parametrize(
    ("most", "expected"), [(1, (1,)), (8, (1, 2, 3, 4, 5, 6, 7, 8)), (20, (1, 2, 3, 4, 5, 6, 7, 8, 16, 20))]
)
def test_large_batches_are_measured_sparsely(most: int, expected: tuple[int, ...]) -> None:
    """Where graphs are captured, too."""
    assert steps(most) == expected


@pytest.mark.parametrize(
    ("ms", "best"), [((10, 20, 30, 40), 1), ((10, 11, 12, 13), 4), ((10, 12, 17.5, 24), 2), ((10, 50, 20, 50), 3)]
)
def test_the_smallest_batch_that_is_nearly_as_good_is_recommended(ms: tuple[float, ...], best: int) -> None:
    """A larger one only makes images wait for each other."""
    points = [Point(n, each, each, 1, 0.0) for n, each in enumerate(ms, start=1)]
    assert recommended(points) == best


@pytest.mark.parametrize(("reached", "host_ms"), [(False, 10.0), (True, 0.2)])
def test_a_figure_that_was_not_waited_for_is_refused(reached: bool, host_ms: float) -> None:
    """1.8 ms for a network that takes 60: the time of the launch."""
    with pytest.raises(EngineError, match=r"no result: .* it was not synchronised"):
        check_synchronised(reached, host_ms, 9.0)
    check_synchronised(True, 9.1, 9.0)


def test_the_largest_resident_size_is_of_the_time_since() -> None:
    """What was freed before does not count, where the system lets us forget it."""
    ballast = torch.ones(60 << 18)  # 60 MiB
    assert peak_resident_mib() > 60
    before = peak_resident_mib()
    del ballast
    peak_resident_mib()
    more = torch.ones(40 << 18)
    assert peak_resident_mib() > 40
    assert more.sum() > 0
    assert before > 0


def test_a_system_that_does_not_report_memory_gives_nan(tmp_path: Path) -> None:
    """Rather than a wrong one."""
    assert math.isnan(peak_resident_mib(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_command_prints_keeps_and_recommends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real engine of the CPU; the same JSON in the requested file and next to the traces."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")
    file = tmp_path / "curve.json"
    how = {"engine": "torchscript", "size": "96x64", "batch": 3, "seconds": 0.05}
    assert bench_engine("tiny", json_file=file, **how) == 0
    found = json.loads(file.read_text())
    assert [point["batch"] for point in found["points"]] == [1, 2, 3]
    assert found["size"] == "96x64"
    assert found["scope"] == "engine only"
    assert found["recommended_max_batch"] in (1, 2, 3)
    (kept,) = (tmp_path / "cache" / "traces").glob("*.bench.json")
    assert json.loads(kept.read_text()) == found
    shown = capsys.readouterr().out
    assert f"recommended: [model] max_batch = {found['recommended_max_batch']}" in shown
    assert "TorchScript on the CPU" in " ".join(shown.split())


def test_a_size_that_the_network_does_not_take_is_refused_at_once() -> None:
    """As for building."""
    with pytest.raises(UsageError, match="tiny needs multiples of 32"):
        bench_engine("tiny", engine="torchscript", size="96x65")
