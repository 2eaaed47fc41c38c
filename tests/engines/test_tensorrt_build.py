"""Engines are really built here, by whichever TensorRT is installed: TensorRT-RTX needs no GPU for it.

Loading what was built does need one; nothing here does it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stream.engines.onnx_export import Precision, export_onnx
from stream.engines.tensorrt import api, request
from stream.engines.tensorrt.api import Gpu, TensorRT
from stream.engines.tensorrt.build import PORTABLE, Profile, build, rtx_targets
from stream.engines.tensorrt.execution import deserialize
from stream.engines.tensorrt.request import BuildRequest, build_and_store, find_exact
from stream.engines.tensorrt.store import EngineStore
from stream.errors import EngineError, MissingPackage
from stream.frames import Size
from stream.models.catalog import find as find_model
from stream.models.networks import build as build_network
from stream.models.weights import load_into, random_state
from tests.engines.conftest import EXPORT_SIZE, OnnxOf

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # torch's own exporter
]

SIZE = Size(32, 64)
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU, and here is one")


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        depth: Tensor = self.layers(pixels)
        return depth.squeeze(1)


@pytest.fixture(scope="module")
def trt() -> TensorRT:
    try:
        found = api.load()
    except MissingPackage as error:
        pytest.skip(str(error))
    if found.flavour == "tensorrt" and not torch.cuda.is_available():
        pytest.skip("TensorRT builds on a GPU only, and there is none; TensorRT-RTX would do without")
    return found


@pytest.fixture(scope="module")
def onnx() -> bytes:
    torch.manual_seed(0)
    return export_onnx(Small(), SIZE)


@pytest.fixture(scope="module")
def deep_onnx() -> bytes:
    """Enough steps to stop in their midst."""
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Sigmoid()) for _ in range(40)]
    return export_onnx(nn.Sequential(*layers, nn.Conv2d(3, 1, 1), nn.Flatten(1, 2)), SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("name", "megabytes"), [("tiny", (1.8, 8)), ("midas_small", (33, 90))])
def test_our_networks_become_engines(
    trt: TensorRT,
    tmp_path: Path,
    onnx_of: OnnxOf,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    megabytes: tuple[float, float],
    precision: Precision,
) -> None:
    """From the module to a file in the store, for batches of one to four; then it is found without exporting.

    The export, whose bytes are the same every time, is the one that test_onnx_export compares with torch.
    """
    monkeypatch.setattr(request, "export_onnx", lambda *_, **__: onnx_of(name, precision))
    network, store, gpu = build_network(name), EngineStore(tmp_path), api.current_gpu()
    load_into(network, random_state(find_model(name)))
    order = BuildRequest(name, {"weights": "random"}, Profile(EXPORT_SIZE, 4, 4), precision)
    assert find_exact(order, store, trt, gpu) is None
    engine = build_and_store(order, network, store, trt, gpu)
    assert megabytes[0] * 1e6 < engine.size_bytes < megabytes[1] * 1e6
    assert find_exact(order, store, trt, gpu) == engine
    plan = engine.read()
    assert plan is not None
    assert len(plan) == engine.size_bytes


class Two(nn.Module):
    """Depth, and one number an image."""

    def __init__(self) -> None:
        super().__init__()
        self.small = Small()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.small(pixels), pixels.mean((1, 2, 3))


@pytest.mark.slow
def test_a_network_with_two_outputs_becomes_an_engine(trt: TensorRT, tmp_path: Path) -> None:
    """Their names are part of what it was made from; a file without one of them is refused."""
    order = BuildRequest("two", {"weights": "0"}, Profile(SIZE, 2, 2), "fp16", outputs=("depth", "fov_deg"))
    store, gpu = EngineStore(tmp_path), api.current_gpu()
    engine = build_and_store(order, Two(), store, trt, gpu)
    assert engine.source["outputs"] == "depth fov_deg"
    assert find_exact(order, store, trt, gpu) == engine
    onnx = export_onnx(Two(), SIZE, outputs=("depth", "fov_deg"))
    with pytest.raises(EngineError, match="must have: pixels, depth; it has: pixels, depth, fov_deg"):
        build(trt, onnx, Profile(SIZE, 1, 1))


@pytest.mark.slow
def test_progress_grows_and_names_what_is_being_done(trt: TensorRT, onnx: bytes) -> None:
    """From a thread of the build's own."""
    reported: list[tuple[int, int, str, str]] = []
    build(
        trt,
        onnx,
        Profile(SIZE, 4, 2),
        progress=lambda step, total, phase: reported.append((step, total, phase, threading.current_thread().name)),
    )
    steps = [step for step, *_ in reported]
    assert steps == sorted(steps)
    assert 0 < steps[0] < steps[-1] <= reported[0][1]
    assert all(phase for _, _, phase, _ in reported)
    assert threading.main_thread().name not in {thread for *_, thread in reported}


@pytest.mark.slow
def test_ctrl_c_ends_the_build_within_a_few_steps(trt: TensorRT, deep_onnx: bytes) -> None:
    """As the terminal sends it; the build's thread is over when build returns (the fixture above all tests looks)."""
    steps: list[int] = []
    build(trt, deep_onnx, Profile(SIZE, 1, 1), progress=lambda step, total, phase: steps.append(step))
    uninterrupted = len(steps)
    assert uninterrupted > 120
    steps.clear()

    def press(step: int, total: int, phase: str) -> None:
        steps.append(step)
        if len(steps) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        if len(steps) >= 20:
            time.sleep(0.1)  # a step on a GPU takes longer; 80 of them are patience enough for a busy machine

    with pytest.raises(KeyboardInterrupt):
        build(trt, deep_onnx, Profile(SIZE, 1, 1), progress=press)
    assert len(steps) < 100
    assert "BuildCanceled" in trt.errors.take()  # so that it is not taken for the next build's error


def test_what_progress_raises_ends_the_build(
    trt: TensorRT, deep_onnx: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """TensorRT itself would print it and go on."""

    def fail(step: int, total: int, phase: str) -> None:
        raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError, match="the terminal is gone"):
        build(trt, deep_onnx, Profile(SIZE, 1, 1), progress=fail)
    assert "terminal" not in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"garbage", b""])
def test_what_is_no_onnx_file_is_one_line(trt: TensorRT, content: bytes) -> None:
    """TensorRT's parser says of an empty file that all is well."""
    with pytest.raises(EngineError) as caught:
        build(trt, content, Profile(SIZE, 1, 1))
    assert "ONNX file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_operation_that_tensorrt_does_not_know_is_named(trt: TensorRT, onnx: bytes) -> None:
    """With the node that has it."""
    assert onnx.count(b"Relu") == 1
    with pytest.raises(EngineError, match=r"cannot read the ONNX file: .*\(node .*, Rulu\)"):
        build(trt, onnx.replace(b"Relu", b"Rulu"), Profile(SIZE, 1, 1))


@pytest.mark.parametrize("profile", [Profile(Size(64, 64), 1, 1), Profile(SIZE, 2, 3), Profile(SIZE, 0, 0)])
def test_a_profile_that_the_network_does_not_take_is_refused(trt: TensorRT, onnx: bytes, profile: Profile) -> None:
    """Another size, and batches that contradict each other."""
    with pytest.raises(EngineError, match="an engine was requested with"):
        build(trt, onnx, profile)


def test_a_timing_cache_is_written_where_there_is_something_to_time(trt: TensorRT, onnx: bytes, tmp_path: Path) -> None:
    """TensorRT-RTX's is deprecated and empty; pytest would turn its warning into an error."""
    cache = tmp_path / "timing"
    build(trt, onnx, Profile(SIZE, 1, 1), timing_cache=cache)
    assert cache.is_file() == (trt.flavour == "tensorrt")


@pytest.mark.parametrize(
    ("capability", "targets"),
    [
        (None, ((),)),
        ("7.5", (("SM75",),)),
        ("8.6", (("SM86",),)),
        ("12.0", (("SM120",),)),
        ("9.0", (("CURRENT",), ())),
        ("8.7", (("CURRENT",), ())),
    ],
)
def test_rtx_is_aimed_at_the_card(capability: str | None, targets: tuple[tuple[str, ...], ...]) -> None:
    """By name where it has one; a card outside the documented range is tried as the current one first."""
    assert rtx_targets(Gpu(capability, "580.65.06") if capability else None) == targets


def only_rtx(trt: TensorRT) -> None:
    if trt.flavour != "tensorrt_rtx":
        pytest.skip("only TensorRT-RTX builds for other cards than the one here")


@pytest.mark.slow
def test_rtx_builds_for_a_card_that_is_not_here(trt: TensorRT, tmp_path: Path) -> None:
    """And the engine is another one than the portable one, which does as well where it is all there is."""
    only_rtx(trt)
    store, order = EngineStore(tmp_path), BuildRequest("small", {"weights": "0"}, Profile(SIZE, 1, 1), "fp32")
    ada = Gpu("8.9", "580.65.06")
    portable = build_and_store(order, Small(), store, trt, None)
    assert portable.recipe.compute_capability == PORTABLE
    assert find_exact(order, store, trt, ada) == portable
    named = build_and_store(order, Small(), store, trt, ada)
    assert (named.recipe.compute_capability, named.recipe.driver) == ("8.9", "580.65.06")
    assert find_exact(order, store, trt, ada) == named
    assert find_exact(order, store, trt, Gpu("8.6", "580.65.06")) == portable


@pytest.mark.slow
@NO_GPU
def test_rtx_falls_back_to_a_portable_engine(trt: TensorRT, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """For a GPU without a name, "CURRENT" is requested; without a driver that must fail."""
    only_rtx(trt)
    order = BuildRequest("small", {"weights": "0"}, Profile(SIZE, 1, 1), "fp32")
    with caplog.at_level(logging.WARNING):
        engine = build_and_store(order, Small(), EngineStore(tmp_path), trt, Gpu("9.0", "580.65.06"))
    assert engine.recipe.compute_capability == PORTABLE
    assert "could not build the engine" in caplog.text
    assert "for CURRENT; trying a portable engine" in caplog.text


def test_tensorrt_itself_needs_a_gpu_to_build(tmp_path: Path) -> None:
    """The error comes before anything is exported."""
    full = TensorRT(None, "tensorrt", "11.4.0.106", None, api.ErrorLog())
    order = BuildRequest("small", {"weights": "0"}, Profile(SIZE, 1, 1), "fp32")
    with pytest.raises(EngineError, match=r"TensorRT 11\.4\.0\.106 builds an engine on the GPU .* sees none"):
        build_and_store(order, Small(), EngineStore(tmp_path), full, None)
    assert find_exact(order, EngineStore(tmp_path), full, None) is None


@NO_GPU
def test_an_engine_does_not_load_where_there_is_no_gpu(trt: TensorRT, onnx: bytes) -> None:
    """One line with TensorRT's own reason."""
    profile = Profile(SIZE, 1, 1)
    with pytest.raises(EngineError, match=r"does not load the engine here: .*CUDA") as caught:
        deserialize(trt, build(trt, onnx, profile), profile)
    assert "\n" not in str(caught.value)
