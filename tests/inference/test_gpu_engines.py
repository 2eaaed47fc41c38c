"""Which engine a GPU runs, tried on the CPU's tensors: real engines, a real gate, TensorRT-RTX's that do not load."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import stream.engines.gate.candidates
from stream.engines.eager import EagerEngine
from stream.engines.gate.candidates import Candidate, Inputs, first_accepted
from stream.engines.per_size import EnginesBySize
from stream.engines.precision import Precision
from stream.engines.select import Choice
from stream.engines.tensorrt import api
from stream.engines.tensorrt.build import Profile
from stream.engines.tensorrt.request import BuildRequest, find_compatible, find_exact
from stream.engines.tensorrt.store import EngineStore, StoredEngine
from stream.engines.torchscript import TorchScriptEngine
from stream.engines.wrappers import Cancelled, CancelToken, LazyEngine
from stream.errors import EngineError, MissingPackage
from stream.frames import Floats, Size
from stream.inference.gpu_engines import GpuEngines, why_engine_refused
from stream.inference.tensorrt_engines import TensorRTEngines, any_built, precision_order
from stream.models.loading import load_network, provenance
from stream.models.tiny import TINY
from stream.settings import ModelSettings

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # torch's own exporter
]

CPU, SIZE = torch.device("cpu"), Size(64, 96)
GATE_INPUTS = Inputs.at(SIZE, TINY.spec, CPU)
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU, and here is one")
RANDOM = ModelSettings(weights="random", max_batch=2)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Engines and verdicts of a test are its own."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stream")


def tiny() -> nn.Module:
    return load_network(TINY, "trained")


def reference() -> TorchScriptEngine:
    return TorchScriptEngine("tiny", tiny, weights_key="w", code_version="1", cache=None, threads=1)


class Upside(nn.Module):
    """The right numbers with the wrong sign."""

    def __init__(self) -> None:
        super().__init__()
        self.network = tiny()

    def forward(self, pixels: Tensor) -> Tensor:
        depth: Tensor = self.network(pixels)
        return -depth


class Watched(EagerEngine):
    def __init__(self, name: str, factory: Callable[[], nn.Module] = tiny, precision: Precision = "fp32") -> None:
        super().__init__(name, factory, device=CPU, precision=precision, max_batch=2)
        self.closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


def candidate(folder: Path, name: str, open_it: Callable[[], Watched], **how: bool) -> Candidate:
    return Candidate(name, open_it, "mixed", folder / f"{name}.verdict.json", {"weights": "w"}, **how)


@pytest.mark.slow
def test_the_first_that_passes_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One cannot be opened, two are wrong, the fourth is right, and nobody opens the fifth; a line a refusal.

    The third is judged by the second's verdict; it has other users, too, and stays open.
    """
    wrong, shared, right = Watched("wrong", Upside), Watched("wrong", Upside), Watched("right", precision="fp16")

    def broken() -> Watched:
        raise EngineError("made for another card")

    def candidates() -> list[Candidate]:
        return [
            candidate(tmp_path, "broken", broken),
            candidate(tmp_path, "wrong", lambda: wrong),
            candidate(tmp_path, "wrong", lambda: shared, shared=True),
            candidate(tmp_path, "right", lambda: right),
            candidate(tmp_path, "never", lambda: pytest.fail("not needed")),
        ]

    opened = LazyEngine(reference)
    assert first_accepted(candidates(), opened, GATE_INPUTS) is right
    assert (wrong.closed, shared.closed, right.closed) == (True, False, False)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.split(" is not used: ")[0].split(" by ")[0] for line in warned] == ["broken", "wrong", "wrong"]
    assert warned[0].endswith("it cannot be opened: made for another card")
    assert "correlation -1" in warned[1]
    opened.close()

    again = LazyEngine(lambda: pytest.fail("verdicts are there"))
    right = Watched("right", precision="fp16")
    wrong = Watched("wrong", Upside)
    assert first_accepted(candidates(), again, GATE_INPUTS) is right


@pytest.mark.slow
def test_judging_ends_before_the_next_image_when_nobody_wants_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said against the engine, which is closed, and the next one is not opened."""
    engine, stopping, asked = Watched("half", precision="fp16"), CancelToken(), [0]

    class Judge(TorchScriptEngine):
        def infer(self, **inputs: Floats) -> dict[str, Floats]:
            asked[0] += 1
            if asked[0] == 2:
                stopping.set()
            return super().infer(**inputs)

    candidates = [
        candidate(tmp_path, "half", lambda: engine),
        candidate(tmp_path, "never", lambda: pytest.fail("not wanted")),
    ]
    judge = Judge("tiny", tiny, weights_key="w", code_version="1", cache=None, threads=1)
    with pytest.raises(Cancelled):
        first_accepted(candidates, lambda: judge, GATE_INPUTS, stopping)
    assert asked == [2]
    assert engine.closed
    assert list(tmp_path.glob("*.verdict.json")) == []
    assert "is not used" not in caplog.text
    with pytest.raises(Cancelled):
        first_accepted(candidates[1:], lambda: judge, GATE_INPUTS, stopping)
    judge.close()


@pytest.mark.slow
def test_a_size_met_while_running_is_judged_beside_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers in float32 while the judge sits, to the bit; then those of the engine that was accepted."""
    sits, go_on = threading.Event(), threading.Event()
    judged = stream.engines.gate.candidates.why_refused

    def slowly(*about: Any, **how: Any) -> str | None:
        sits.set()
        assert go_on.wait(30)
        return judged(*about, **how)

    monkeypatch.setattr(stream.engines.gate.candidates, "why_refused", slowly)
    settings = ModelSettings(precision="fp16", max_batch=2)
    pixels = torch.rand(2, 3, *SIZE)
    with torch.inference_mode():
        expected = tiny()(pixels)
    engine = GpuEngines(TINY, settings, Choice("cuda", 1, 1, "why", "fp16"), "cpu").open()
    assert isinstance(engine, EnginesBySize)
    torch.testing.assert_close(engine.infer(pixels=pixels)["depth"], expected, rtol=1e-5, atol=1e-5)
    assert sits.wait(30)
    torch.testing.assert_close(engine.infer(pixels=pixels)["depth"], expected, rtol=1e-5, atol=1e-5)
    go_on.set()
    assert engine._thread is not None
    engine._thread.join(60)
    assert engine.describe().endswith("fp16")
    half = engine.infer(pixels=pixels)["depth"]
    assert 1e-5 < float((half - expected).abs().max()) < 0.02 * float(np.ptp(expected.numpy()))
    engine.close()


def test_random_weights_are_not_judged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What means nothing cannot be wrong."""
    engine = Watched("upside", Upside)
    assert first_accepted([candidate(tmp_path, "upside", lambda: engine)], None, GATE_INPUTS) is engine
    assert "not judged, because random weights mean nothing" in caplog.text
    assert first_accepted([], None, GATE_INPUTS) is None


@pytest.mark.slow
def test_half_precision_by_torch_passes_the_gate_and_is_shared(caplog: pytest.LogCaptureFixture) -> None:
    """For each size its own verdict, which names the weights and the card; float32 is not opened."""
    settings = ModelSettings(precision="fp16", max_batch=2)
    engine = GpuEngines(TINY, settings, Choice("cuda", 1, 1, "why", "fp16"), "cpu").open()
    sizes = (SIZE, Size(96, 64))
    for size in sizes:
        engine.prepare(size)
    assert caplog.text.count("accepted, against float32") == 2
    assert engine.describe().count("tiny by torch") == 1
    assert engine.describe().endswith("fp16")
    pixels = torch.rand(2, 3, *SIZE)
    got = engine.infer(pixels=pixels)["depth"]
    with torch.inference_mode():
        expected = tiny()(pixels)
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.02 * float(np.ptp(expected.numpy())))
    engine.close()


def test_float32_by_torch_needs_no_judge(caplog: pytest.LogCaptureFixture) -> None:
    """It is the reference's own code: an engine for all sizes."""
    engine = GpuEngines(TINY, ModelSettings(), Choice("cuda", 1, 1, "the reason"), "cpu").open()
    assert isinstance(engine, EagerEngine)
    assert "the reason" in caplog.messages
    engine.close()


@pytest.fixture(scope="module")
def trt() -> api.TensorRT:
    try:
        found = api.load()
    except MissingPackage as error:
        pytest.skip(str(error))
    if found.flavour == "tensorrt" and not torch.cuda.is_available():
        pytest.skip("TensorRT builds on a GPU only, and there is none; TensorRT-RTX would do without")
    return found


def stored(trt: api.TensorRT, folder: Path, order: BuildRequest) -> StoredEngine:
    """A file in the store that nobody will open."""
    recipe = order.recipe(trt, api.current_gpu(), (), "ab" * 32)
    return EngineStore(folder).write(recipe, order.full_source(), b"plan", 1.0)


def test_an_engine_for_more_images_serves_fewer(trt: api.TensorRT, tmp_path: Path) -> None:
    """The smallest that does; never one for fewer, for another size or with other weights."""
    store, gpu = EngineStore(tmp_path), api.current_gpu()
    order = BuildRequest("tiny", provenance(TINY, "random"), Profile(SIZE, 2, 2), "fp32")
    eight, four, one = (stored(trt, tmp_path, replace(order, profile=Profile(SIZE, n, n))) for n in (8, 4, 1))
    assert find_exact(order, store, trt, gpu) is None
    assert find_compatible(order, store, trt, gpu) == four
    assert find_compatible(replace(order, profile=Profile(SIZE, 5, 5)), store, trt, gpu) == eight
    assert find_compatible(replace(order, profile=Profile(SIZE, 1, 1)), store, trt, gpu) == one
    assert find_compatible(replace(order, profile=Profile(SIZE, 9, 9)), store, trt, gpu) is None
    assert find_compatible(replace(order, profile=Profile(Size(96, 64), 2, 2)), store, trt, gpu) is None
    assert find_compatible(replace(order, source={"weights": "other"}), store, trt, gpu) is None
    assert find_compatible(replace(order, float32_parts=("head",)), store, trt, gpu) == four
    assert any_built(TINY, RANDOM, tmp_path)
    assert not any_built(TINY, RANDOM.model_copy(update={"max_batch": 9}), tmp_path)
    assert not any_built(replace(TINY, name="other"), RANDOM, tmp_path)
    assert not any_built(TINY, RANDOM, tmp_path / "nothing")


@NO_GPU
@pytest.mark.slow
def test_tensorrt_that_was_asked_for_is_built_and_what_does_not_load_costs_one_line(
    trt: api.TensorRT, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Really built, half precision first; none loads without a GPU, so torch runs. The next start builds nothing."""
    settings = RANDOM.model_copy(update={"engine": "tensorrt"})
    for start in range(2):
        engine = GpuEngines(TINY, settings, Choice("tensorrt", 1, 1, "why"), "cpu", tmp_path).open()
        engine.prepare(SIZE)
        assert engine.infer(pixels=torch.rand(1, 3, *SIZE))["depth"].shape == (1, *SIZE)
        assert "tiny by torch" in engine.describe()
        engine.close()
        said = caplog.messages
        assert sum("which may take minutes" in line for line in said) == (2 if start == 0 else 0)
        assert sum("it cannot be opened: tiny failed on cpu" in line for line in said) == 2
        caplog.clear()
    assert sorted(e.recipe.precision for e in EngineStore(tmp_path).engines()) == ["fp16", "fp32"]


@NO_GPU
@pytest.mark.slow
def test_a_build_ends_at_its_next_step_when_nobody_wants_it(trt: api.TensorRT, tmp_path: Path) -> None:
    """Nothing is kept of it, and float32 is not begun."""
    settings, stopping = RANDOM.model_copy(update={"engine": "tensorrt"}), CancelToken()
    engines = TensorRTEngines(TINY, settings, provenance(TINY, "random"), "cpu", build=True, folder=tmp_path)
    stopping.set()
    with pytest.raises(Cancelled):
        next(engines.candidates(SIZE, stopping))
    assert list(tmp_path.glob("*.engine")) == []


@NO_GPU
def test_auto_builds_nothing(trt: api.TensorRT, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A camera of a shape that no engine is for goes to torch."""
    engine = GpuEngines(TINY, RANDOM, Choice("tensorrt", 1, 1, "why"), "cpu", tmp_path).open()
    engine.prepare(SIZE)
    assert "is used for network inputs of 96x64" in caplog.text
    assert EngineStore(tmp_path).engines() == []
    engine.close()


def test_precisions_follow_the_setting() -> None:
    """Half first, unless float32 was asked for."""
    assert (
        precision_order(ModelSettings())
        == precision_order(ModelSettings(precision="fp16"))
        == (("mixed", "fp16"), ("fp32",))
    )
    assert precision_order(ModelSettings(precision="fp32")) == (("fp32",),)


@pytest.mark.parametrize("named", [False, True])
def test_a_tensorrt_that_cannot_be_used_is_an_error_only_if_it_was_asked_for(
    named: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Too old a version, say: "auto" goes on with torch."""

    def too_old() -> api.TensorRT:
        raise MissingPackage("tensorrt 10.3 is older than 10.16")

    monkeypatch.setattr(api, "load", too_old)
    settings = ModelSettings(engine="tensorrt" if named else "auto")
    if named:
        with pytest.raises(MissingPackage, match="older than"):
            GpuEngines(TINY, settings, Choice("tensorrt", 1, 1, "why"), "cpu")
    else:
        GpuEngines(TINY, settings, Choice("tensorrt", 1, 1, "why"), "cpu").open().close()
        assert "TensorRT is not used: tensorrt 10.3 is older" in caplog.text


@pytest.mark.slow
def test_a_built_engine_gets_its_verdict(trt: api.TensorRT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of torch's stands in for the engine, which needs a GPU to load; the verdict lies beside its file."""
    order = BuildRequest("tiny", provenance(TINY, "trained"), Profile(SIZE, 2, 2), "fp16")
    engine = stored(trt, tmp_path, order)
    for factory, accepted in [(tiny, True), (Upside, False)]:
        monkeypatch.setattr(TensorRTEngines, "_opened", lambda self, engine, f=factory: Watched("stand-in", f, "fp16"))
        engine.verdict_path.unlink(missing_ok=True)
        why_not = why_engine_refused(TINY, ModelSettings(max_batch=2), engine, "cpu", tmp_path)
        assert (why_not is None) is accepted
        verdict = json.loads(engine.verdict_path.read_text())
        assert verdict["accepted"] is accepted
        assert verdict["belongs_to"]["engine file"] == engine.sha256
        assert verdict["belongs_to"]["weights"] == TINY.weights.sha256
