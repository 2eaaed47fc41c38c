"""Exported networks give what torch gives, read by an engine that shares no code with either: onnxruntime."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf.message import EncodeError
from torch import Tensor, nn
from torch.nn import functional

from stream.engines import onnx_export
from stream.engines.onnx_export import INPUT, OPSET, export_onnx
from stream.engines.precision import HalfPrecision, Precision, fold_batch_norm
from stream.errors import EngineError
from stream.frames import Floats, Size
from stream.models.catalog import find
from stream.models.networks import build
from stream.models.weights import load_into, random_state
from tests.engines.conftest import EXPORT_SIZE, OnnxOf

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # torch's own exporter
]


class Small(nn.Module):
    """A network with one of each thing that the export looks at."""

    float32_parts = ("head",)

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice, self.after = nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.stem(pixels)))
        y = self.twice(x)
        depth: Tensor = self.head(self.after(y) + y)
        return depth.squeeze(1)


class Two(nn.Module):
    """Depth, and one number an image."""

    def __init__(self) -> None:
        super().__init__()
        self.small = Small()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        depth = self.small(pixels)
        return depth, 40 + pixels.mean((1, 2, 3)) + depth.mean((1, 2))


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(1)
    network = Small()
    with torch.no_grad():
        network(torch.randn(8, 3, 32, 32))  # statistics that are not 0 and 1
    return network.eval()


def network_of(name: str) -> nn.Module:
    network = build(name)
    load_into(network, random_state(find(name)))
    return network


def run(content: bytes, pixels: Tensor) -> Floats:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(["depth"], {INPUT: pixels.numpy()})
    assert found.dtype == np.float32
    result: Floats = found
    return result


def float_types(content: bytes) -> dict[str, set[str]]:
    """The names of the weights by type."""
    found: dict[str, set[str]] = {"float32": set(), "float16": set()}
    for tensor in onnx.load_from_string(content).graph.initializer:
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).name
        found.setdefault(kind, set()).add(tensor.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "midas_small"])
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("fp16", 0.05)])
def test_onnxruntime_gives_what_torch_gives(onnx_of: OnnxOf, name: str, precision: Precision, bound: float) -> None:
    """Mean difference over the mean deviation of the depth, with batches of one, three and five."""
    network, size, content = network_of(name), EXPORT_SIZE, onnx_of(name, precision)
    for batch in (1, 3, 5):
        pixels = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            expected = network(pixels).numpy()
        found = run(content, pixels)
        assert found.shape == (batch, *size)
        assert np.abs(found - expected).mean() < bound * np.abs(expected - expected.mean()).mean()


@pytest.mark.slow
def test_size_is_fixed_and_batch_is_free(small: nn.Module) -> None:
    """One file holds all, and says opset 20."""
    model = onnx.load_from_string(export_onnx(small, Size(32, 64)))
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import] == [OPSET]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in shape] == ["batch", 3, 32, 64]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


@pytest.mark.slow
def test_the_same_network_gives_the_same_bytes(small: nn.Module) -> None:
    """An engine is kept by the hash of these bytes; they must not tell of the folder that the code is in, either."""
    content = export_onnx(small, Size(32, 64))
    assert content == export_onnx(copy.deepcopy(small), Size(32, 64))
    assert b"test_onnx_export" not in content
    with torch.no_grad():
        small.get_parameter("head.bias").add_(1e-3)
    assert content != export_onnx(small, Size(32, 64))


@pytest.mark.slow
def test_half_precision_holds_half_the_bytes_and_leaves_the_network_alone(small: nn.Module) -> None:
    """Inputs and outputs stay float32."""
    before = copy.deepcopy(small.state_dict())
    content = export_onnx(small, Size(32, 64), precision="fp16")
    assert not float_types(content)["float32"]
    assert all(torch.equal(before[name], tensor) for name, tensor in small.state_dict().items())
    pixels = torch.randn(2, 3, 32, 64)
    np.testing.assert_allclose(run(content, pixels), small(pixels).detach().numpy(), atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "kept"), [((), {"head"}), (("twice", "head"), {"twice", "head"})])
def test_mixed_precision_keeps_some_parts(small: nn.Module, parts: tuple[str, ...], kept: set[str]) -> None:
    """Those that the caller names, else those that the network names."""
    content = export_onnx(small, Size(32, 64), precision="mixed", float32_parts=parts)
    found = float_types(content)
    assert {name.split(".")[1] for name in found["float32"]} == kept
    assert found["float16"]
    pixels = torch.randn(2, 3, 32, 64)
    np.testing.assert_allclose(run(content, pixels), small(pixels).detach().numpy(), atol=5e-3)


def test_a_part_in_float32_holds_what_half_cannot() -> None:
    """70000 is infinite in half precision."""

    class Large(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 70000.0 * x) / 70000.0

    large = nn.Sequential(Large())
    x = torch.full((1, 3), 8.0)
    assert HalfPrecision(copy.deepcopy(large))(x).isinf().all()
    torch.testing.assert_close(HalfPrecision(large, ["0"])(x), x * x)


def test_mixed_precision_needs_to_know_which_parts(small: nn.Module) -> None:
    """Neither silently all in half, nor a name that is not there."""
    with pytest.raises(EngineError, match='no part "neck" that could stay in float32'):
        export_onnx(small, Size(32, 64), precision="mixed", float32_parts=["neck"])
    small.float32_parts = ()  # type: ignore[assignment]
    with pytest.raises(EngineError, match='names no float32_parts for precision "mixed"'):
        export_onnx(small, Size(32, 64), precision="mixed")


def test_batch_norm_is_folded_where_it_alone_follows_a_convolution(small: nn.Module) -> None:
    """``twice`` goes elsewhere too, so its normalisation stays; the answers stay the same."""
    pixels = torch.randn(2, 3, 32, 64)
    expected = small(pixels)
    fold_batch_norm(small, pixels)
    assert isinstance(small.get_submodule("norm"), nn.Identity)
    assert isinstance(small.get_submodule("after"), nn.BatchNorm2d)
    torch.testing.assert_close(small(pixels), expected)


@pytest.mark.slow
def test_a_variance_beyond_half_precision_does_not_silence_its_channel(small: nn.Module) -> None:
    """Made half before it is folded, it would be infinite and the channel constant."""
    with torch.no_grad():
        small.get_parameter("stem.weight").mul_(1000)
        small.get_buffer("norm.running_mean").mul_(1000)
        small.get_buffer("norm.running_var").mul_(1e6)
    assert small.get_buffer("norm.running_var").max() > torch.finfo(torch.float16).max
    pixels = torch.randn(2, 3, 32, 64)
    found = run(export_onnx(small, Size(32, 64), precision="fp16"), pixels)
    np.testing.assert_allclose(found, small(pixels).detach().numpy(), atol=5e-3)


@pytest.mark.slow
def test_every_batch_norm_of_our_networks_is_folded() -> None:
    """None is left to the exporter."""
    for name in ("tiny", "midas_small"):
        network, pixels = network_of(name), torch.randn(1, 3, 64, 64)
        with torch.inference_mode():
            expected = network(pixels)
            fold_batch_norm(network, pixels)
            torch.testing.assert_close(network(pixels), expected, rtol=1e-4, atol=1e-4)
        assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_a_size_that_the_network_does_not_take_is_one_line() -> None:
    """The network's own words, and the size."""
    with pytest.raises(EngineError, match="TinyDepth cannot be exported to ONNX at 100x64: width and height must be"):
        export_onnx(build("tiny"), Size(64, 100))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_everything_that_a_network_returns_is_named(precision: Precision) -> None:
    """In its order, float32, for any batch; in half precision too."""
    torch.manual_seed(2)
    network = Two().eval()
    content = export_onnx(network, Size(32, 32), precision=precision, outputs=("depth", "fov_deg"))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["depth", "fov_deg"]
    for count in (1, 3):
        pixels = torch.randn(count, 3, 32, 32)
        with torch.inference_mode():
            expected = network(pixels)
        for got, wanted in zip(session.run(None, {INPUT: pixels.numpy()}), expected, strict=True):
            assert (got.dtype, got.shape) == (np.float32, tuple(wanted.shape))
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 if precision == "fp32" else 0.05)


def test_names_must_be_as_many_as_tensors(small: nn.Module) -> None:
    """The exporter would invent or drop some."""
    for network, outputs in [(small, ("depth", "fov_deg")), (Two(), ("depth",))]:
        with pytest.raises(EngineError, match=r"returns \d tensors; \d were named: depth"):
            export_onnx(network, Size(32, 32), outputs=outputs)


def test_a_network_too_large_for_a_file_is_refused_at_once() -> None:
    """The size is counted, not exported: here not even its weights exist. In half precision it would fit."""
    with torch.device("meta"):
        large = nn.Linear(1 << 15, (1 << 14) + 1)
    with pytest.raises(EngineError, match=r"Linear in fp32 does not fit.*have 2\.1 GB; use precision \"fp16\", or"):
        export_onnx(large, Size(8, 8))
    with torch.device("meta"):
        huge = nn.Linear(1 << 15, (1 << 15) + 1)
    with pytest.raises(EngineError, match=r"Linear in fp16 does not fit.*; use engine \"cuda_graph\""):
        export_onnx(huge, Size(8, 8), precision="fp16")


@pytest.mark.slow
def test_what_protobuf_finds_too_large_is_our_error(small: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the exporter adds to the weights is not counted; the message of so large a model is stood in for."""

    def too_large(model: object) -> bytes:
        raise EncodeError("Failed to serialize proto")

    monkeypatch.setattr(onnx_export, "_serialize", too_large)
    with pytest.raises(EngineError, match=r"Small in fp32 does not fit.*protobuf says: Failed to serialize proto"):
        export_onnx(small, Size(8, 8))
