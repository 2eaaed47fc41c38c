"""Images over a device in a real pipeline, and what becomes of it when the device has no room, or is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.components.depth import add_depth
from stream.frames import DepthMap, Frame, Image, Size
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.device_estimator import DeviceEstimator
from stream.inference.fallback import FallbackEstimator
from stream.inference.open import fallback_for
from stream.runtime.pipeline import Pipeline
from stream.settings import ModelSettings, SyntheticCamera
from stream.sources.synthetic import SyntheticSource
from stream.stages.capture import capture
from tests.conftest import FrameMaker
from tests.gpu.devices import DEVICES, by_network, by_torch, need, network, nothing_may_wait

ROOT = Path(__file__).parents[2]
COUNT = 12
"""Frames of each camera."""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp() / "cuda-pipeline-cache"
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(folder))
    return folder


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return need(request.param)


def noisy(make_frame: FrameMaker, count: int) -> list[Frame]:
    rng = np.random.default_rng(0)
    return [replace(make_frame(seq), image=rng.integers(0, 255, (48, 64, 3), np.uint8)) for seq in range(count)]


def camera(name: str, width: int) -> SyntheticCamera:
    return SyntheticCamera(
        source="synthetic", name=name, width=width, height=64, fps=12, seconds=COUNT / 12, pace="fast"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "engine"),
    [("cpu", "cuda"), *(pytest.param("cuda", engine, marks=pytest.mark.cuda) for engine in ("cuda", "cuda_graph"))],
)
@pytest.mark.parametrize("layout", ["latency", "throughput"])
def test_a_pipeline_gives_the_cpus_depth(layout: str, engine: str, device: str) -> None:
    """Two cameras of different sizes; every frame arrives with the depth that float32 on the CPU gives it."""
    settings = ModelSettings.model_validate({"layout": layout, "max_batch": 4})
    need(device)
    pipe, maps, lock = Pipeline("test"), list[DepthMap](), threading.Lock()
    sources = [
        pipe.source(f"capture{n}", capture(SyntheticSource(camera(f"cam{n}", width))))
        for n, width in enumerate((96, 128))
    ]
    estimator = DeviceEstimator(settings, by_torch(device, engine), device)
    depth = add_depth(pipe, estimator, sources, policy="block", expect=[Size(64, 96), Size(64, 128)])

    def keep(arriving: Iterable[DepthMap]) -> Iterator[DepthMap]:
        for m in arriving:
            with lock:
                maps.append(m)
            yield m

    pipe.stage("keep", keep, after=[depth])
    with pipe, estimator:
        pipe.wait(60)
    assert sorted((m.frame.camera, m.frame.seq) for m in maps) == [
        (f"cam{n}", i) for n in range(2) for i in range(COUNT)
    ]
    with CpuEstimator(ModelSettings()) as cpu:
        for m in maps[::5]:
            expected = cpu.estimate(cpu.prepare([m.frame]))[0].depth
            np.testing.assert_allclose(m.depth, expected, rtol=0, atol=2e-3 * float(np.abs(expected).max()))


class Hungry(torch.nn.Module):
    """Takes a third of what the device has free for each image: two fit, four do not."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.network, self.seen = network("tiny"), list[int]()
        self.third = torch.cuda.mem_get_info()[0] // 3 if device == "cuda" else 0

    def forward(self, pixels: Tensor) -> Tensor:
        if self.third:
            torch.empty(len(pixels) * self.third, dtype=torch.uint8, device=pixels.device)
        elif len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.seen.append(len(pixels))
        depth: Tensor = self.network(pixels)
        return depth


@pytest.mark.slow
def test_no_room_means_smaller_batches(make_frame: FrameMaker, device: str) -> None:
    """Six images: halved once to three, then to one; the device stays in use."""
    frames, settings = noisy(make_frame, 6), ModelSettings(max_batch=8)
    hungry = Hungry(device)
    first = DeviceEstimator(settings, by_network(device, hungry), device)
    with CpuEstimator(settings) as cpu:
        expected = {m.frame.seq: m.depth for m in cpu.estimate(cpu.prepare(frames))}
    with FallbackEstimator(first, fallback_for(settings, "tiny")) as estimator:
        for _ in range(2):
            maps = [m for batch in estimator.batches(frames) for m in estimator.estimate(batch)]
            assert estimator.failure is None
            assert [m.frame.seq for m in maps] == list(range(6))
            for m in maps:
                np.testing.assert_allclose(m.depth, expected[m.frame.seq], atol=2e-3 * float(np.abs(m.depth).max()))
    assert hungry.seen == [1] * 12


@pytest.mark.slow
def test_a_lost_device_costs_less_than_five_seconds(device: str, cache: Path) -> None:
    """In a process of its own: after such an error CUDA is of no more use to anybody in it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.lose_device", device],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["back_s"] < 5
    assert told["engines_after"] == ["tiny by TorchScript on the CPU"]
    assert told["published"] == told["seen"]
    assert told["in_flight"] == 0


def _painted(maps: list[DepthMap]) -> list[Image]:
    assert all(m.on_device for m in maps)
    return [m.on_device.paint(0.0, 1.0, "inferno") for m in maps if m.on_device]


@pytest.mark.cuda
@pytest.mark.parametrize("engine", ["cuda", "cuda_graph"])
def test_the_hot_path_never_waits_for_the_whole_device(
    engine: str, make_frame: FrameMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No torch.cuda.synchronize, and no operation that torch knows to wait: only marks of depth and colour are."""
    need("cuda")
    calls = [0]

    def counted(*args: object) -> None:
        calls[0] += 1

    settings = ModelSettings(max_batch=4, layout="throughput")
    with DeviceEstimator(settings, by_torch("cuda", engine), "cuda") as estimator:
        estimator.load([noisy(make_frame, 1)[0].size])  # a size that is met later is captured beside the images
        for frames in (noisy(make_frame, 4), noisy(make_frame, 1), noisy(make_frame, 4)):  # memory, filters
            for batch in estimator.batches(frames):
                _painted(estimator.estimate(batch))
        monkeypatch.setattr(torch.cuda, "synchronize", counted)
        with nothing_may_wait():
            for _ in range(20):
                tickets = [estimator.submit(batch) for batch in estimator.batches(noisy(make_frame, 4))]
                maps = [m for ticket in tickets for m in estimator.collect(ticket)]
                assert len(_painted(maps)) == 4
    assert calls == [0]
