"""A network that fails while a pipeline runs, by an engine that fails on command."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
import torch

from pipelines.components.depth import add_depth
from stream.core.machine import Machine
from stream.engines.base import Engine
from stream.engines.select import Choice
from stream.errors import EngineError, OutOfDeviceMemory, UnknownModel
from stream.frames import Batch, DepthMap, Floats, Frame, Size
from stream.inference.cpu_engine import open_on_cpu
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.device_estimator import DeviceEstimator
from stream.inference.engine_estimator import EngineOpener
from stream.inference.estimator import Estimator
from stream.inference.fallback import FallbackEstimator
from stream.inference.open import estimator_for, fallback_for
from stream.models.base import DepthModel
from stream.runtime.pipeline import Pipeline
from stream.settings import ModelSettings, SyntheticCamera
from stream.sources.synthetic import SyntheticSource
from stream.stages.capture import capture
from tests.conftest import FrameMaker
from tests.gpu.devices import by_torch

SETTINGS = ModelSettings(name="midas_small", weights="random", fallback="tiny", max_batch=8)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Traces of this file's tests are kept apart from the user's."""
    folder = tmp_path_factory.getbasetemp() / "fallback-cache"
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(folder))
    return folder


class Activations:
    """Fills the device while a batch is worked on."""


class Faulty:
    """A real engine that runs out of memory above ``room`` images, and fails for good once it is ``broken``."""

    def __init__(self, engine: Engine, room: int = 1000) -> None:
        self._engine, self.room, self.broken = engine, room, threading.Event()
        self.taken: list[int] = []
        """Images in each call that went well."""
        self.closed, self.still_full = False, 0
        self._filled: weakref.ref[Activations] | None = None

    @property
    def max_batch(self) -> int:
        return self._engine.max_batch

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        count = len(inputs["pixels"])
        if self.broken.is_set():
            raise EngineError("the device is gone")
        self._fill(count)
        self.taken.append(count)
        return self._engine.infer(**inputs)

    def prepare(self, size: Size) -> None:
        self._fill(self.max_batch)
        self._engine.prepare(size)

    def describe(self) -> str:
        return f"faulty {self._engine.describe()}"

    def close(self) -> None:
        self.closed = True
        self._engine.close()

    def _fill(self, count: int) -> None:
        """``still_full`` counts what could not be tried in earnest: the try before had not let go of its memory."""
        self.still_full += self._filled is not None and self._filled() is not None
        activations = Activations()
        self._filled = weakref.ref(activations)
        if count > self.room:
            raise OutOfDeviceMemory(f"no room for {count} images")


def faulty(engines: list[Faulty], room: int = 1000) -> EngineOpener:
    """Opens the real engine and puts faults before it; the engines that were opened are in ``engines``."""

    def open_it(model: DepthModel, settings: ModelSettings, choice: Choice) -> Engine:
        engines.append(Faulty(open_on_cpu(model, settings, choice), room))
        return engines[-1]

    return open_it


def with_fallback(engines: list[Faulty], room: int = 1000) -> FallbackEstimator:
    return FallbackEstimator(CpuEstimator(SETTINGS, faulty(engines, room)), fallback_for(SETTINGS, "tiny"))


def noisy(make_frame: FrameMaker, count: int) -> list[Frame]:
    rng = np.random.default_rng(0)
    return [
        replace(make_frame(seq, camera=f"cam{seq}"), image=rng.integers(0, 255, (48, 64, 3), np.uint8))
        for seq in range(count)
    ]


def depths(estimator: Estimator, frames: list[Frame]) -> list[DepthMap]:
    return [m for batch in estimator.batches(frames) for m in estimator.estimate(batch)]


def test_without_a_fallback_the_estimator_is_plain() -> None:
    """And an unknown one is refused before anything starts."""
    assert not isinstance(estimator_for(ModelSettings()), FallbackEstimator)
    with pytest.raises(UnknownModel, match="tiny"):
        estimator_for(ModelSettings(fallback="tinny"))


def test_a_gpu_is_guarded_without_being_asked() -> None:
    """By the network itself on the CPU, with the same weights; one that was asked for comes first."""
    gpu = Machine(8, ("NVIDIA H200",), tensorrt=False, avx512_bf16=False, torch_version="2.13.0")
    for settings, fallback in [
        (ModelSettings(name="midas_small", weights="random"), ("midas_small", "random")),
        (ModelSettings(name="midas_small", weights="random", fallback="tiny"), ("tiny", "trained")),
    ]:
        estimator = estimator_for(settings, gpu)
        assert isinstance(estimator, FallbackEstimator)
        assert isinstance(estimator.first, DeviceEstimator)
        assert (estimator.fallback.model.name, estimator.fallback.settings.weights) == fallback
        assert type(estimator.fallback) is CpuEstimator
    assert type(estimator_for(ModelSettings(engine="torchscript"), gpu)) is CpuEstimator


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_torch_cannot_use_costs_one_line(make_frame: FrameMaker, caplog: pytest.LogCaptureFixture) -> None:
    """The driver shows a card, torch cannot use it: "auto" goes on with the CPU, "cuda" is an error."""
    gpu = Machine(8, ("NVIDIA H200",), tensorrt=False, avx512_bf16=False, torch_version="2.13.0")
    with estimator_for(ModelSettings(), gpu) as estimator:
        assert {m.model for m in depths(estimator, noisy(make_frame, 1))} == {"tiny"}
        assert estimator.describe().startswith("tiny by TorchScript on the CPU")
    assert [r.message for r in caplog.records if r.levelno == logging.ERROR] != []
    with pytest.raises(EngineError, match="tiny: the device failed"):
        estimator_for(ModelSettings(engine="cuda"), gpu).load()


@pytest.mark.slow
def test_out_of_memory_means_smaller_batches(make_frame: FrameMaker, caplog: pytest.LogCaptureFixture) -> None:
    """Halved until they fit, which is remembered; the answers are the same."""
    frames, engines = noisy(make_frame, 6), list[Faulty]()
    with CpuEstimator(SETTINGS) as plain:
        expected = depths(plain, frames)
    with with_fallback(engines, room=2) as estimator:
        got = depths(estimator, frames)
        again = depths(estimator, frames)
    assert engines[0].taken[:6] == [1] * 6  # 6 -> 3 -> 1: halves of what was asked
    assert [m.frame.seq for m in got] == [m.frame.seq for m in again] == list(range(6))
    assert {m.model for m in got} == {"midas_small"}
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one.depth, other.depth, rtol=1e-3, atol=1e-3)
    warned = [
        record.message
        for record in caplog.records
        if record.levelno == logging.WARNING and "going on" in record.message
    ]
    assert warned == [
        "midas_small: no room for 6 images; going on with 3 at a time",
        "midas_small: no room for 3 images; going on with 1 at a time",
    ]


@pytest.mark.slow
def test_no_room_when_it_is_loaded_means_smaller_batches(
    make_frame: FrameMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine is opened anew for half as many images, until they fit; the fallback network is not needed."""
    engines: list[Faulty] = []
    frames = noisy(make_frame, 6)
    with CpuEstimator(SETTINGS) as alone:
        expected = depths(alone, frames)
    estimator = with_fallback(engines, room=3).load([Size(48, 64)])
    maps = depths(estimator, frames)
    estimator.close()
    assert estimator.failure is None
    assert [(engine.max_batch, engine.closed) for engine in engines] == [(8, True), (4, True), (2, True)]
    assert [engine.taken for engine in engines] == [[], [], [2, 2, 2]]
    for one, other in zip(maps, expected, strict=True):
        np.testing.assert_allclose(one.depth, other.depth, rtol=1e-4, atol=1e-4)
    assert [record.message for record in caplog.records if "going on" in record.message] == [
        "midas_small: no room for 8 images; going on with 4 at a time",
        "midas_small: no room for 4 images; going on with 2 at a time",
    ]


@pytest.mark.parametrize("lenient", [True, False])
def test_no_room_at_all_when_it_is_loaded(lenient: bool) -> None:
    """The fallback network takes over where it may; else it is an error."""
    first = CpuEstimator(SETTINGS, faulty([], room=0))
    estimator = FallbackEstimator(first, fallback_for(SETTINGS, "tiny"), lenient=lenient)
    if lenient:
        assert estimator.load([Size(48, 64)]).describe().startswith("tiny")
    else:
        with pytest.raises(OutOfDeviceMemory, match="no room for 1 images"):
            estimator.load([Size(48, 64)])
    estimator.close()


@pytest.mark.slow
def test_memory_is_let_go_of_before_a_smaller_batch_is_tried(make_frame: FrameMaker) -> None:
    """An error that is being handled keeps what its functions hold, which on a device is what filled it."""
    engines: list[Faulty] = []
    with with_fallback(engines, room=1) as estimator:
        depths(estimator, noisy(make_frame, 6))
    assert engines[0].taken == [1] * 6
    assert engines[0].still_full == 0


class Cramped(DeviceEstimator):
    """A device without room for more than ``room`` images on their way to the network."""

    room = 2

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        if len(frames) > self.room:
            raise OutOfDeviceMemory(f"no room for {len(frames)} images")
        return super().prepare(frames)


def test_no_room_for_images_means_smaller_batches(make_frame: FrameMaker) -> None:
    """Halved until they fit; the fallback network is not needed, and no image is lost or comes twice."""
    settings = ModelSettings(max_batch=8)
    frames = noisy(make_frame, 7)
    with FallbackEstimator(Cramped(settings, by_torch("cpu"), "cpu"), fallback_for(settings, "tiny")) as estimator:
        batches = list(estimator.batches(frames))
        assert [m.frame.seq for batch in batches for m in estimator.estimate(batch)] == list(range(7))
        assert [len(batch.frames) for batch in batches] == [1] * 7
        assert estimator.failure is None


def test_no_room_for_one_image_is_a_failure_while_preparing_too(make_frame: FrameMaker) -> None:
    """The rest goes to the fallback network."""
    settings = ModelSettings(max_batch=8)
    first = Cramped(settings, by_torch("cpu"), "cpu")
    first.room = 0
    with FallbackEstimator(first, fallback_for(settings, "tiny")) as estimator:
        maps = [m for batch in estimator.batches(noisy(make_frame, 3)) for m in estimator.estimate(batch)]
        assert [m.frame.seq for m in maps] == [0, 1, 2]
        assert isinstance(estimator.failure, OutOfDeviceMemory)


@pytest.mark.slow
def test_one_image_is_guarded_too(make_frame: FrameMaker) -> None:
    """As `open_model` is called; from then on the other network answers for sizes and decoding as well."""
    settings = ModelSettings(name="midas_small", weights="random", fallback="tiny")
    first = Cramped(settings, by_torch("cpu"), "cpu")
    first.room = 0
    image = noisy(make_frame, 1)[0].image
    with FallbackEstimator(first, fallback_for(settings, "tiny")) as estimator:
        assert estimator(image).model == "tiny"
        below_zero = np.full((48, 64), -1, np.float32)  # tiny's zero is arbitrary, MiDaS's is not
        assert estimator.decode(below_zero, make_frame(0)).min() == -1


def test_no_room_for_a_single_image_is_a_failure(make_frame: FrameMaker) -> None:
    """Then the fallback network takes over."""
    with with_fallback([], room=0) as estimator:
        assert {m.model for m in depths(estimator, noisy(make_frame, 3))} == {"tiny"}
        assert isinstance(estimator.failure, OutOfDeviceMemory)


@pytest.mark.slow
def test_the_spare_network_takes_over_and_says_so(make_frame: FrameMaker, caplog: pytest.LogCaptureFixture) -> None:
    """The batch that failed is not lost, one made before is made anew; the answers are the fallback network's own."""
    frames, engines = noisy(make_frame, 3), list[Faulty]()
    with CpuEstimator(ModelSettings(name="tiny", max_batch=8)) as alone:
        expected = depths(alone, frames)
    with with_fallback(engines) as estimator:
        assert {m.model for m in depths(estimator, frames)} == {"midas_small"}
        before = estimator.batches(frames)
        engines[0].broken.set()
        first, later = depths(estimator, frames), [m for batch in before for m in estimator.estimate(batch)]
        told = estimator.describe()
    for maps in (first, later):
        assert [(m.model, m.weights, m.frame.seq) for m in maps] == [("tiny", "trained", seq) for seq in range(3)]
        for one, other in zip(maps, expected, strict=True):
            np.testing.assert_allclose(one.depth, other.depth, rtol=1e-4, atol=1e-4)
    assert told.startswith("tiny by TorchScript")
    assert told.endswith("in place of midas_small, which failed: the device is gone")
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["midas_small failed (the device is gone): tiny on the CPU takes over"]


@pytest.mark.slow
def test_a_running_pipeline_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """Within five seconds; the camera notices nothing, and every frame is accounted for."""
    engines: list[Faulty] = []
    camera = SyntheticCamera(source="synthetic", width=96, height=64, fps=20)
    pipe = Pipeline("test")
    source = pipe.source("capture", capture(SyntheticSource(camera)))
    depth = add_depth(pipe, with_fallback(engines), [source], policy="latest", expect=[Size(64, 96)])
    seen: list[tuple[float, str]] = []
    enough = threading.Event()

    def end(maps: Iterable[DepthMap]) -> Iterator[DepthMap]:
        for m in maps:
            seen.append((monotonic(), m.model))
            if len(seen) == 5:
                engines[0].broken.set()
            if [model for _, model in seen].count("tiny") == 5:
                enough.set()
            yield m

    pipe.stage("end", end, after=[depth], policy="drop_oldest")
    with pipe:
        assert enough.wait(30)
    models = [model for _, model in seen]
    assert models.index("tiny") >= 5, models
    assert set(models[models.index("tiny") :]) == {"tiny"}
    broken_s, back_s = seen[4][0], seen[models.index("tiny")][0]
    assert back_s - broken_s < 5
    (account,) = pipe.stats().accounts
    assert account.in_flight == 0
    assert account.published == len(seen)
    assert "tiny on the CPU takes over" in caplog.text
