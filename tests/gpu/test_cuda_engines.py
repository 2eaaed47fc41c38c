"""Engines of a GPU before the gate: float32 on the CPU is the truth."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from stream.engines.cuda_graph import CudaGraphEngine
from stream.engines.eager import EagerEngine
from stream.engines.gate.gate import BOUNDS, judge
from stream.engines.gate.golden_inputs import golden_inputs, spec_for_size
from stream.engines.precision import Precision
from stream.engines.select import Choice
from stream.engines.tensorrt import api
from stream.engines.tensorrt.store import EngineStore
from stream.engines.torchscript import TorchScriptEngine
from stream.engines.wrappers import NumpyEngine
from stream.errors import MissingPackage
from stream.frames import Size
from stream.inference.gpu_engines import GpuEngines
from stream.models.catalog import find
from stream.models.tiny import TINY
from stream.settings import ModelSettings
from tests.gpu.devices import need, network

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")]
SIZE, BATCH = Size(64, 96), 4
ENGINES = [
    ("eager", "cpu"),
    pytest.param("eager", "cuda", marks=pytest.mark.cuda),
    pytest.param("graph", "cuda", marks=pytest.mark.cuda),
]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("kind", "device"), ENGINES)
@pytest.mark.parametrize("name", ["tiny", "midas_small"])
def test_torch_passes_the_gate(name: str, kind: str, device: str, precision: Precision) -> None:
    """In float32 within float32's bounds (no TF32), in half within those of half precision."""
    if device == "cpu" and (precision, name) != ("fp32", "tiny"):
        pytest.skip("the tests of the gate do this on the CPU")
    on = torch.device(need(device))
    eager = EagerEngine(name, lambda: network(name), device=on, precision=precision, max_batch=BATCH)
    candidate = NumpyEngine(CudaGraphEngine(eager) if kind == "graph" else eager, on)
    reference = TorchScriptEngine(name, lambda: network(name), weights_key="w", code_version="1", cache=None, threads=2)
    spec, cameras = spec_for_size(find(name).spec, SIZE)
    verdict = judge(reference, candidate, golden_inputs(spec, cameras), BOUNDS[precision])
    assert verdict.accepted, verdict.reasons
    candidate.close()
    reference.close()


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_tensorrt_engine_is_built_judged_and_used(precision: str, tmp_path: Path) -> None:
    """tiny's, by whichever TensorRT is installed; on a card outside TensorRT-RTX's list this says what happens."""
    need("cuda")
    try:
        trt = api.load()
    except MissingPackage as error:
        pytest.skip(str(error))
    settings = ModelSettings.model_validate({"engine": "tensorrt", "precision": precision, "max_batch": BATCH})
    engine = GpuEngines(TINY, settings, Choice("tensorrt", 1, 1, "for a test"), folder=tmp_path).open()
    engine.prepare(SIZE)
    assert str(trt) in engine.describe(), engine.describe()
    assert EngineStore(tmp_path).engines()[0].verdict_path.is_file()
    for count in (1, 3, 4):
        pixels = torch.rand(count, 3, *SIZE)
        got = engine.infer(pixels=pixels.cuda())["depth"].cpu().numpy()
        with torch.inference_mode():
            expected = network("tiny")(pixels).numpy()
        np.testing.assert_allclose(got, expected, rtol=0, atol=0.02 * float(np.ptp(expected)))
    engine.close()


@pytest.mark.cuda
def test_a_graph_is_captured_while_another_thread_allocates() -> None:
    """As decoders and copies do in a running pipeline; without "thread_local" the capture would break off."""
    need("cuda")
    over, allocated = threading.Event(), [0]

    def allocate() -> None:
        stream = torch.cuda.Stream()
        while not over.is_set():
            with torch.cuda.stream(stream):
                torch.empty(1 << (20 + allocated[0] % 5), device="cuda").zero_()
                torch.empty(1 << 20, pin_memory=True)
            allocated[0] += 1
            torch.cuda.empty_cache()

    busy = threading.Thread(target=allocate)
    busy.start()
    try:
        graphs = CudaGraphEngine(EagerEngine("tiny", lambda: network("tiny"), device=torch.device("cuda"), max_batch=8))
        for size in (SIZE, Size(96, 64), Size(128, 128)):
            graphs.prepare(size)
    finally:
        over.set()
        busy.join()
    assert allocated[0] > 0
    pixels = torch.rand(3, 3, *SIZE)
    with torch.inference_mode():
        torch.testing.assert_close(
            graphs.infer(pixels=pixels.cuda())["depth"].cpu(), network("tiny")(pixels), rtol=0, atol=1e-2
        )
    graphs.close()
