"""Depth Anything: the official networks, whatever runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from depth_anything_numbers import SIZE, pixels, state
from torch import Tensor, nn
from torch.export import Dim, export

from stream.engines.onnx_export import export_onnx
from stream.engines.precision import half_precision_for, to_precision
from stream.engines.torchscript import to_bfloat16, trace
from stream.errors import ImageError
from stream.frames import Size
from stream.inference.cpu_estimator import CpuEstimator
from stream.models.base import ImageContext
from stream.models.catalog import MODELS, find
from stream.models.networks import ARCHITECTURES, build
from stream.models.networks.depth_anything import Config, DepthAnything
from stream.preprocess.geometry import network_size
from stream.settings import ModelSettings

HERE = Path(__file__).parent
FAMILY = [model for model in MODELS if model.name.startswith("depth_anything")]
SMALL = Config(width=24, layers=5, heads=2, features=16, channels=(8, 12, 16, 24), taps=(0, 1, 2, 3))
"""A network of 142 thousand parameters with all that the real ones have."""
GOLDEN = {"v1": (1, None), "v2": (2, None), "metric": (2, 80.0)}
"""Version and farthest depth."""

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # torch's own exporter
]


def filled(network: nn.Module) -> nn.Module:
    """With parameters of which the output is finite, positive and varied."""
    network.load_state_dict(state({name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}))
    return network.eval()


@pytest.fixture(params=[None, 80.0], ids=["relative", "metric"])
def small(request: pytest.FixtureRequest) -> nn.Module:
    return filled(DepthAnything(SMALL, max_depth=request.param))


def lines(network: nn.Module) -> list[str]:
    """``name shape dtype`` of each tensor, in order."""
    tensors = network.state_dict().items()
    return [f"{name} {'x'.join(map(str, tensor.shape))} {str(tensor.dtype)[6:]}" for name, tensor in tensors]


def on_meta(name: str) -> DepthAnything:
    with torch.device("meta"):
        network = build(name)
    assert isinstance(network, DepthAnything)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", [model.name for model in FAMILY if model.name.endswith("small")])
def test_official_small_weights_will_load(name: str) -> None:
    """All four checkpoints of this size have these names, shapes and types, in this order."""
    assert lines(on_meta(name)) == (HERE / "depth_anything_v2_vits_keys.txt").read_text().splitlines()


def test_larger_networks_differ_in_sizes_only() -> None:
    """V2 base and large (their checkpoints' names follow from these); large has twice as many layers."""
    small, base, large = (on_meta(f"depth_anything_v2_{size}").state_dict() for size in ("small", "base", "large"))
    assert set(base) == set(small)
    assert {name for name in large if ".blocks." not in name} == {name for name in small if ".blocks." not in name}
    assert [len({name.split(".")[2] for name in net if ".blocks." in name}) for net in (small, large)] == [12, 24]
    assert large["depth_head.scratch.refinenet1.out_conv.weight"].shape == (256, 256, 1, 1)
    assert base["depth_head.projects.3.weight"].shape == (768, 768, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("which", GOLDEN)
def test_numbers_are_those_of_the_official_code(which: str) -> None:
    """What the modules of LiheYoung/Depth-Anything (1d03336) and DepthAnything/Depth-Anything-V2 (a561b84; metric: its
    metric_depth) answered to these parameters and images, every 7th pixel."""
    version, max_depth = GOLDEN[which]
    network = filled(DepthAnything("vits", version, max_depth))
    with torch.inference_mode():
        found = network(pixels()).numpy()
    expected = np.load(HERE / "depth_anything_golden.npz")[which]
    assert found.shape == (2, *SIZE)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found[:, ::7, ::7], expected, rtol=0, atol=1e-4 * float(np.ptp(expected)))


@pytest.mark.parametrize(
    ("size", "v1", "v2"),
    [
        ("small", (8, 9, 10, 11), (2, 5, 8, 11)),
        ("base", (8, 9, 10, 11), (2, 5, 8, 11)),
        ("large", (20, 21, 22, 23), (4, 11, 17, 23)),
    ],
)
def test_the_head_looks_at_other_layers_in_v1(size: str, v1: tuple[int, ...], v2: tuple[int, ...]) -> None:
    """The last four, and four that are spread out."""
    assert on_meta(f"depth_anything_v1_{size}").taps == v1
    assert on_meta(f"depth_anything_v2_{size}").taps == v2


def test_layers_that_nothing_looks_at_change_nothing() -> None:
    """The last of five in this V2; the same damage ruins V1, which looks at the last four."""
    for version, ruined in ((2, False), (1, True)):
        network = filled(DepthAnything(SMALL, version))
        with torch.inference_mode():
            for parameter in network.pretrained.blocks[4].parameters():
                parameter.fill_(float("nan"))
            assert bool(network(pixels()).isnan().any()) == ruined


@pytest.mark.slow
def test_every_level_is_normalised(small: nn.Module) -> None:
    """Each token that goes into the head has mean 0 and deviation 1 before the factors that were learnt."""
    with torch.inference_mode():
        small.pretrained.norm.weight.fill_(1)
        small.pretrained.norm.bias.fill_(0)
        for level in small.pretrained(pixels(), small.taps):
            assert level.shape == (2, SMALL.width, SIZE[0] // 14, SIZE[1] // 14)
            torch.testing.assert_close(level.mean(1), torch.zeros(2, 7, 5), rtol=0, atol=1e-5)
            torch.testing.assert_close(level.std(1, correction=0), torch.ones(2, 7, 5), rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(100, 70), (70, 100), (13, 14), (0, 14)])
def test_other_sizes_are_refused_in_words(small: nn.Module, size: tuple[int, int]) -> None:
    """The official code cuts the image silently instead."""
    with pytest.raises(ValueError, match=f"must be multiples of 14, got {size[1]}x{size[0]}"):
        small(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("size", [(14, 14), (28, 70), (126, 98), (518, 14)])
def test_any_multiple_of_14_is_taken(small: nn.Module, size: tuple[int, int]) -> None:
    """Odd and even numbers of patches, fewer and more than the network was trained with."""
    with torch.inference_mode():
        depth = small(torch.randn(1, 3, *size))
    assert depth.shape == (1, *size)
    assert depth.dtype == torch.float32
    assert bool(depth.isfinite().all())


def test_depth_keeps_to_its_range() -> None:
    """Inverse depth is never negative; metres stay below the farthest."""
    relative, metric = filled(DepthAnything(SMALL)), filled(DepthAnything(SMALL, max_depth=20.0))
    with torch.inference_mode():
        for network in (relative, metric):
            network.depth_head.scratch.output_conv2[2].bias.fill_(-1)
        inverse, metres = relative(pixels()), metric(pixels())
    assert float(inverse.min()) == 0
    assert float(inverse.max()) > 0
    assert 0 < float(metres.min()) < float(metres.max()) < 20


def test_a_batch_is_as_many_single_images(small: nn.Module) -> None:
    """Images do not see each other."""
    torch.manual_seed(5)
    batch = torch.randn(3, 3, *SIZE)
    with torch.inference_mode():
        together, alone = small(batch), torch.cat([small(image[None]) for image in batch])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))


@pytest.mark.slow
def test_a_trace_takes_any_number_of_images(small: nn.Module) -> None:
    """Traced with one; positions have become constants of this size."""
    frozen = trace(small, Size(*SIZE), "small")
    assert "upsample_bicubic" not in str(frozen.graph)
    batch = torch.randn(3, 3, *SIZE)
    with torch.inference_mode():
        torch.testing.assert_close(frozen(batch), small(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_trace_in_bfloat16_answers_in_float32(small: nn.Module) -> None:
    """1.3 and 1.4% of the range off here, 1.3 and 1.0% with ViT-S' sizes; float32 from the last activation on."""
    converted = to_bfloat16(trace(small, Size(*SIZE), "small"))
    with torch.inference_mode():
        expected, found = small(pixels()), converted(pixels().bfloat16())
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < 0.04 * float(expected.max() - expected.min())


@pytest.mark.slow
def test_one_export_takes_any_number_of_images(small: nn.Module) -> None:
    """torch.export, of one size."""
    graph = export(small, (pixels(),), dynamic_shapes=({0: Dim("batch", min=1)},)).module()
    for count in (1, 3):
        batch = torch.randn(count, 3, *SIZE)
        with torch.inference_mode():
            torch.testing.assert_close(graph(batch), small(batch), rtol=1e-4, atol=1e-5)


def onnx_answer(content: bytes, batch: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"pixels": batch.numpy()})
    return np.asarray(found)


@pytest.mark.slow
def test_onnx_gives_what_torch_gives() -> None:
    """For one image and three; attention is written out, without guards against NaN."""
    network = filled(DepthAnything(SMALL))
    content = export_onnx(network, Size(*SIZE))
    operations = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert {"Softmax", "LayerNormalization"} <= operations
    assert not operations & {"IsNaN", "Where", "If", "Loop"}
    for count in (1, 3):
        batch = torch.randn(count, 3, *SIZE)
        with torch.inference_mode():
            expected = network(batch).numpy()
        np.testing.assert_allclose(onnx_answer(content, batch), expected, rtol=1e-4, atol=1e-4 * np.ptp(expected))


@pytest.mark.slow
def test_half_precision_in_onnx_keeps_to_float32_at_both_ends() -> None:
    """Computed in half, taken and given in float32: metres finer than half precision could tell."""
    network = filled(DepthAnything(SMALL, max_depth=80.0))
    content = export_onnx(network, Size(*SIZE), precision="fp16")
    with torch.inference_mode():
        expected = network(pixels()).numpy()
    found = onnx_answer(content, pixels())
    assert found.dtype == np.float32
    assert not np.array_equal(found, found.astype(np.float16).astype(np.float32))
    assert np.abs(found - expected).max() < 0.01 * np.ptp(expected)


def test_half_precision_is_near_and_needs_no_float32_parts(small: nn.Module) -> None:
    """0.15% of the range off here, 0.19% with ViT-S' sizes, and no part in float32 would mend half of it."""
    assert half_precision_for(small) == "fp16"
    halved = to_precision(small, "fp16", pixels())
    with torch.inference_mode():
        expected, found = small(pixels()), halved(pixels())
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < 0.005 * float(expected.max() - expected.min())
    if small.max_depth:
        assert not torch.equal(found, found.half().float())


@pytest.mark.parametrize(
    ("camera", "network"),
    [
        ((480, 640), (518, 686)),
        ((720, 1280), (518, 924)),
        ((1080, 1920), (518, 924)),
        ((240, 320), (518, 686)),
        ((640, 480), (686, 518)),
        ((518, 518), (518, 518)),
    ],
)
def test_images_are_fitted_around_518(camera: tuple[int, int], network: tuple[int, int]) -> None:
    """The shorter side becomes 518, also of small images; the longer one the nearest multiple of 14."""
    assert {network_size(Size(*camera), model.spec) for model in FAMILY} == {Size(*network)}


def test_the_family_is_all_twelve() -> None:
    """Every architecture has its entry, and no two share a file."""
    assert {model.name for model in FAMILY} == {name for name in ARCHITECTURES if name.startswith("depth_anything")}
    assert len({model.weights.filename for model in FAMILY}) == len({model.weights.url for model in FAMILY}) == 12


@pytest.mark.parametrize("model", FAMILY, ids=lambda model: model.name)
def test_what_may_not_be_sold_must_be_accepted(model) -> None:
    """V2's base and large and what was tuned from them; V1 and V2 small are free."""
    free = "_v1_" in model.name or model.name.endswith("small")
    assert model.weights.licence == ("Apache-2.0" if free else "CC-BY-NC-4.0")
    assert model.weights.requires_acceptance is not free


@pytest.mark.parametrize("model", FAMILY, ids=lambda model: model.name)
def test_files_are_as_large_as_their_parameters(model) -> None:
    """Float32 and what torch.save adds; a sum is 64 hexadecimal digits."""
    weights = model.weights
    assert (weights.size_bytes is None) == (weights.sha256 is None)
    if weights.size_bytes is not None:
        assert 0 < weights.size_bytes - 4 * model.parameters < 200_000
        assert len(bytes.fromhex(weights.sha256)) == 32


def test_metres_are_kept_and_inverse_depth_is_cut_at_zero() -> None:
    """What an enlargement makes negative is no depth."""
    raw, image_context = np.array([[-0.5, 0.0, 2.5]], np.float32), ImageContext(Size(1, 3))
    relative, metric = find("depth_anything_v2_small"), find("depth_anything_v2_outdoor_small")
    assert relative.decode(raw, image_context).tolist() == [[0.0, 0.0, 2.5]]
    assert metric.decode(raw, image_context).tolist() == raw.tolist()
    assert (relative.kind, metric.kind) == ("relative_inverse", "metric")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["depth_anything_v2_small", "depth_anything_v2_indoor_small"])
def test_an_image_becomes_a_depth_map_of_its_size(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The whole way at 126 pixels; metres are a guess with any camera, and say so."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path))
    image = np.random.default_rng(0).integers(0, 256, (100, 140, 3), np.uint8)
    with CpuEstimator(ModelSettings(name=name, weights="random", side=126)) as model:
        assert model.network_size(Size(100, 140)) == Size(126, 182)
        depth = model(image)
        with pytest.raises(ImageError):
            model(image[..., 0])
    assert depth.depth.shape == (100, 140)
    assert depth.depth.dtype == np.float32
    assert np.isfinite(depth.depth).all()
    assert depth.depth.std() > 0
    assert (depth.model, depth.kind) == (name, find(name).kind)
    assert depth.scale_guessed == (depth.kind == "metric")
    if depth.kind == "metric":
        assert 0 < depth.depth.min() < depth.depth.max() < 20
