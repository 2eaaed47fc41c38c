"""The path for a device, on the CPU's tensors, and on a GPU where there is one: the same depth as the CPU's path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.evaluation.agreement import at_both_sizes
from stream.engines.batch_sizes import batch_sizes, padded_batch
from stream.engines.cuda_graph import CudaGraphEngine
from stream.engines.eager import EagerEngine, example_size
from stream.engines.precision import Precision
from stream.engines.select import Choice
from stream.errors import EngineError, OutOfDeviceMemory
from stream.frames import DepthMap, Floats, Frame, Size
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.device_estimator import SLOTS, DeviceEstimator
from stream.inference.estimator import Estimator
from stream.inference.staging import KEPT_SIZES, StagingBuffers, StagingRing, by_size, runs
from stream.models.base import DepthModel
from stream.models.loading import load_network
from stream.models.midas_small import MIDAS_SMALL
from stream.models.spec import Canvas
from stream.models.tiny import TINY
from stream.settings import ModelSettings
from stream.stages.infer import infer
from stream.stages.preprocess import preprocess
from tests.conftest import FrameMaker

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
MIXED = [(48, 64), (96, 128), (64, 48), (48, 64), (480, 640)]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Traces of this file's tests are kept apart from the user's."""
    folder = tmp_path_factory.getbasetemp() / "device-cache"
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(folder))
    return folder


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    return str(request.param)


def eager(device: str, precision: Precision = "fp32") -> Callable[..., Any]:
    """Opens the network as it is, on ``device``."""

    def open_it(model: Any, settings: ModelSettings, choice: object) -> EagerEngine:
        return EagerEngine(
            model.name,
            lambda: load_network(model, settings.weights),
            device=torch.device(device),
            precision=precision,
            max_batch=settings.max_batch,
        )

    return open_it


def noisy(make_frame: FrameMaker, shapes: list[tuple[int, int]]) -> list[Frame]:
    rng = np.random.default_rng(0)
    return [
        replace(make_frame(seq, camera=f"cam{seq % 2}"), image=rng.integers(0, 255, (H, W, 3), np.uint8))
        for seq, (H, W) in enumerate(shapes)
    ]


def depths(estimator: Estimator, frames: list[Frame]) -> dict[int, DepthMap]:
    return {m.frame.seq: m for batch in estimator.batches(frames) for m in estimator.estimate(batch)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "midas_small"])
def test_a_device_gives_the_cpus_depth(name: str, make_frame: FrameMaker, device: str) -> None:
    """Mixed camera sizes in one batch, each back at its own size."""
    settings = ModelSettings(name=name, weights="random" if name == "midas_small" else "trained", max_batch=8)
    frames = noisy(make_frame, MIXED)
    with CpuEstimator(settings) as cpu, DeviceEstimator(settings, eager(device), device) as on_device:
        expected, got = depths(cpu, frames), depths(on_device, frames)
    assert got.keys() == expected.keys() == set(range(len(MIXED)))
    for seq, m in got.items():
        scale = np.abs(expected[seq].depth).max()
        assert m.depth.shape == MIXED[seq]
        assert m.frame is frames[seq]
        assert (m.kind, m.model, m.weights) == (expected[seq].kind, name, settings.weights)
        np.testing.assert_allclose(m.depth, expected[seq].depth, rtol=0, atol=2e-3 * scale)


@pytest.mark.slow
def test_half_precision_is_close(make_frame: FrameMaker, device: str) -> None:
    """Within two hundredths of the range, for the trained network."""
    settings, frames = ModelSettings(), noisy(make_frame, [(48, 64)])
    with CpuEstimator(settings) as cpu, DeviceEstimator(settings, eager(device, "fp16"), device) as half:
        expected, got = depths(cpu, frames)[0].depth, depths(half, frames)[0].depth
    assert np.abs(got - expected).max() < 0.02 * np.ptp(expected)


@pytest.mark.slow
def test_depth_is_not_overwritten_by_later_batches(make_frame: FrameMaker, device: str) -> None:
    """The ring goes round more than twice; every map keeps its numbers."""
    settings = ModelSettings(layout="throughput")
    frames = noisy(make_frame, [(48, 64)] * (3 * SLOTS))
    with CpuEstimator(ModelSettings()) as cpu, DeviceEstimator(settings, eager(device), device) as on_device:
        expected = {frame.seq: depths(cpu, [frame])[frame.seq] for frame in frames}
        maps = list(infer(on_device)(preprocess(on_device)(frames)))
        statistics = on_device.statistics()
    assert [m.frame.seq for m in maps] == list(range(len(frames)))
    for m in maps:
        np.testing.assert_allclose(m.depth, expected[m.frame.seq].depth, atol=1e-2)
    assert statistics["network p50 ms"] > 0


def test_the_next_batch_is_taken_before_the_last_is_read(make_frame: FrameMaker, device: str) -> None:
    """Two submitted, then collected, in any order."""
    frames = noisy(make_frame, [(48, 64), (48, 64)])
    with DeviceEstimator(ModelSettings(layout="throughput"), eager(device), device) as estimator:
        alone = {frame.seq: depths(estimator, [frame])[frame.seq] for frame in frames}
        tickets = [estimator.submit(estimator.prepare([frame])) for frame in frames]
        later, earlier = (estimator.collect(ticket)[0] for ticket in reversed(tickets))
    np.testing.assert_allclose(earlier.depth, alone[0].depth, atol=1e-4)
    np.testing.assert_allclose(later.depth, alone[1].depth, atol=1e-4)


def test_a_batch_may_wait_while_others_are_prepared(make_frame: FrameMaker, device: str) -> None:
    """The ring goes round; what was made of its images is the batch's own."""
    frames = noisy(make_frame, [(48, 64)] * (2 * SLOTS + 1))
    with DeviceEstimator(ModelSettings(), eager(device), device) as estimator:
        alone = depths(estimator, frames[:1])[0].depth
        batches = [estimator.prepare([frame]) for frame in frames]
        (waited,) = estimator.estimate(batches[0])
    assert waited.frame is frames[0]
    np.testing.assert_array_equal(waited.depth, alone)


def test_more_network_sizes_than_slots(make_frame: FrameMaker, device: str) -> None:
    """Also where all of their batches are made before the first is run."""
    shapes = [(32 * (n + 1), 256) for n in range(SLOTS + 2)]
    frames = noisy(make_frame, shapes)
    with DeviceEstimator(ModelSettings(max_batch=8), eager(device), device) as estimator:
        batches = list(estimator.batches(frames))
        maps = {m.frame.seq: m for batch in batches for m in estimator.estimate(batch)}
    assert len(batches) > SLOTS
    assert {seq: m.depth.shape for seq, m in maps.items()} == dict(enumerate(shapes))


def test_memory_is_for_images_that_come(device: str) -> None:
    """As many as came at once, and of the sizes that came last; a size that comes again has its memory still."""
    slot, there = StagingBuffers(0), torch.device(device)
    for n in range(60):
        slot.wait()
        slot.buffers(Size(10 + n, 20), 1, there)
    slot.wait()
    assert list(slot.by_size) == [Size(10 + n, 20) for n in range(60 - KEPT_SIZES, 60)]
    known = slot.buffers(Size(69, 20), 1, there)
    assert slot.buffers(Size(69, 20), 1, there) is known
    assert len(known.images) == len(known.host) == 1
    more = slot.buffers(Size(69, 20), 3, there)
    assert len(more.images) == len(more.host) == 3
    assert slot.buffers(Size(69, 20), 2, there) is more


def test_memory_goes_when_it_is_closed(make_frame: FrameMaker, device: str) -> None:
    """And comes back on the next use."""
    frames = noisy(make_frame, [(48, 64)])
    estimator = DeviceEstimator(ModelSettings(), eager(device), device)
    before = depths(estimator, frames)[0].depth
    slots = estimator._ring._all
    assert any(slot.by_size for slot in slots)
    estimator.close()
    assert not any(slot.by_size for slot in estimator._ring._all)
    np.testing.assert_array_equal(depths(estimator, frames)[0].depth, before)
    estimator.close()


def test_one_image_keeps_no_other_alive(make_frame: FrameMaker, device: str) -> None:
    """What comes back of a batch is each image's own memory."""
    frames = noisy(make_frame, [(48, 64)] * 3)
    with DeviceEstimator(ModelSettings(max_batch=4), eager(device), device) as estimator:
        maps = list(depths(estimator, frames).values())
    for m in maps:
        base = torch.from_numpy(m.depth).untyped_storage()
        assert base.nbytes() == m.depth.nbytes


@pytest.mark.slow
def test_input_from_elsewhere(make_frame: FrameMaker, device: str) -> None:
    """As `depthstream eval` asks: the image at two sizes of the network that it does not have by itself."""
    (frame,) = noisy(make_frame, [(96, 128)])
    with CpuEstimator(ModelSettings()) as cpu, DeviceEstimator(ModelSettings(), eager(device), device) as estimator:
        for got, expected in zip(at_both_sizes(estimator, frame), at_both_sizes(cpu, frame), strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=2e-3 * float(np.abs(expected).max()))
        batch = estimator.prepare([frame])
        assert estimator.infer_raw(batch).shape == (1, *estimator.network_size(frame.size))


def test_what_the_device_says_becomes_ours(make_frame: FrameMaker, device: str) -> None:
    """Out of memory is told apart: a smaller batch may help."""

    class Failing(torch.nn.Module):
        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            raise self.error

    frames = noisy(make_frame, [(48, 64)])
    cases: list[tuple[Exception, type[EngineError], str]] = [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), OutOfDeviceMemory, "2 GiB$"),
        (RuntimeError("CUDA error: an illegal memory access was encountered\nmore"), EngineError, "illegal memory"),
    ]
    for error, ours, words in cases:

        def open_it(
            model: DepthModel, settings: ModelSettings, choice: Choice, error: Exception = error
        ) -> EagerEngine:
            return EagerEngine("x", lambda: Failing(error), device=torch.device(device))

        with DeviceEstimator(ModelSettings(), open_it, device) as estimator, pytest.raises(ours, match=words):
            depths(estimator, frames)


def test_an_engine_says_what_it_takes() -> None:
    """Wrong type, wrong batch, wrong name."""
    engine = EagerEngine("net", torch.nn.Identity, device=torch.device("cpu"), max_batch=2)
    for inputs, words in [
        ({"pixels": torch.zeros(3, 3, 32, 32)}, "1 to 2 images"),
        ({"pixels": torch.zeros(1, 3, 32, 32).half()}, "float32 on cpu"),
        ({"image": torch.zeros(1, 3, 32, 32)}, "one input"),
    ]:
        with pytest.raises(EngineError, match=words):
            engine.infer(**inputs)


class Telling(torch.nn.Module):
    """Depth, and one number an image: the mean of what it sees."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pixels.sum(1), pixels.mean((1, 2, 3))


def test_what_a_network_says_beside_depth_reaches_the_decoder(make_frame: FrameMaker, device: str) -> None:
    """Each image its own number, also where two batches are on the way and sizes are mixed."""

    def open_it(model: DepthModel, settings: ModelSettings, choice: Choice) -> EagerEngine:
        return EagerEngine(
            "x", Telling, device=torch.device(device), max_batch=settings.max_batch, outputs=("depth", "mean")
        )

    frames = [
        replace(make_frame(seq), image=np.full((H, W, 3), 20 * seq, np.uint8)) for seq, (H, W) in enumerate(MIXED)
    ]
    heard: dict[int, float] = {}

    class Listening(DeviceEstimator):
        def decode(self, output: Floats, frame: Frame, scalars: Mapping[str, float] | None = None) -> Floats:
            assert scalars is not None
            heard[frame.seq] = scalars["mean"]
            return super().decode(output, frame, scalars)

    with Listening(ModelSettings(max_batch=8, layout="throughput"), open_it, device) as estimator:
        tickets = [estimator.submit(batch) for batch in estimator.batches(frames)]
        assert len(tickets) > 1
        for ticket in tickets:
            estimator.collect(ticket)
    spec = estimator.spec
    for seq, mean in heard.items():
        assert mean == pytest.approx((20 * seq / 255 - spec.mean[0]) / spec.std[0], abs=1e-4)
    assert set(heard) == set(range(len(MIXED)))


@pytest.mark.slow
@pytest.mark.parametrize("model", [TINY, MIDAS_SMALL], ids=lambda model: model.name)
def test_some_size_is_one_that_the_network_takes(model: DepthModel) -> None:
    """A small one in multiples, the only one of a network that takes one, the canvas of one that has a canvas."""
    size = example_size(model.spec)
    network = load_network(model, "random")
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, *size)).shape == (1, *size)
    assert size == Size(64, 64)
    assert example_size(replace(model.spec, multiple=14)) == Size(70, 70)
    assert example_size(replace(model.spec, multiple=28)) == Size(84, 84)
    assert example_size(replace(model.spec, side=1536, fixed_size=True)) == Size(1536, 1536)
    canvas = Canvas(Size(616, 1064), "centre", "down", (0.0, 0.0, 0.0))
    assert example_size(replace(model.spec, canvas=canvas)) == canvas.size


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_graphs_give_what_the_network_gives(precision: Precision) -> None:
    """Every batch up to the largest, the filled-up ones too; a second size is captured when it comes."""
    model = CpuEstimator(ModelSettings()).model
    open_it = eager("cuda", precision)
    plain = open_it(model, ModelSettings(max_batch=4), None)
    graphs = CudaGraphEngine(open_it(model, ModelSettings(max_batch=4), None))
    graphs.prepare(Size(64, 96))
    for size in (Size(64, 96), Size(96, 64)):
        for count in (1, 2, 3, 4, 1):
            pixels = torch.randn(count, 3, *size, device="cuda")
            got, expected = graphs.infer(pixels=pixels)["depth"].clone(), plain.infer(pixels=pixels)["depth"]
            torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-2)
    graphs.close()


@pytest.mark.parametrize(("most", "expected"), [(1, {1}), (4, {1, 2, 4}), (6, {1, 2, 4, 6}), (8, {1, 2, 4, 8})])
def test_few_graphs_serve_every_batch(most: int, expected: set[int]) -> None:
    """Each batch runs in one that holds it and is less than twice as large."""
    chosen = {n: padded_batch(n, batch_sizes(most)) for n in range(1, most + 1)}
    assert set(chosen.values()) == set(batch_sizes(most)) == expected
    assert all(n <= batch < 2 * n for n, batch in chosen.items())


def test_runs_and_rings(make_frame: FrameMaker) -> None:
    """Frames of one size side by side in their order; slots come in turn."""
    frames = tuple(noisy(make_frame, MIXED))
    together = by_size(frames)
    assert [frame.seq for frame in together] == [0, 3, 1, 2, 4]
    assert [(tuple(size), where.start, where.stop) for size, where in runs(tuple(f.size for f in together))] == [
        ((48, 64), 0, 2),
        ((96, 128), 2, 3),
        ((64, 48), 3, 4),
        ((480, 640), 4, 5),
    ]
    ring = StagingRing(3)
    assert [ring.next().number for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]
