"""Metric3D is the official one: names, shapes and numbers; its images lie and its metres come as the rules say."""

from __future__ import annotations

import copy
import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.nn import functional

from stream.engines.onnx_export import export_onnx
from stream.engines.precision import Precision, half_precision_for, to_precision
from stream.engines.torchscript import to_bfloat16, trace
from stream.frames import Floats, Intrinsics, Size
from stream.models import networks
from stream.models.base import ImageContext
from stream.models.catalog import find
from stream.models.metric3d import METRIC3D, SPEC
from stream.models.networks import ARCHITECTURES, build
from stream.models.networks.metric3d.encoder import Config
from stream.models.networks.metric3d.network import Metric3D
from stream.models.networks.metric3d.refinement import Refinement, convex_upsampled, normalised
from stream.models.weights import build_empty, drop_extra_tensors, load_into
from stream.preprocess.cpu import to_camera
from stream.preprocess.geometry import placement

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = Config(width=32, layers=2, heads=2, seventh=16, quarter=8, hidden=8, iterations=2)
SIDES = Size(56, 84)
OFFICIAL_DEPTH = (36.05096, 174.52032, 5.01837, 13.10036, 60.99673, 65.62514)
OFFICIAL_CONFIDENCE = 0.3182106
OFFICIAL_NORMALS = (-0.0245897, 0.1968584, 0.4427456, 2.2087214)
REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "networks" / "metric3d.py"


def by_formula(name: str, values: Tensor, number: int) -> Tensor:
    """Parameters that any version of torch makes alike: waves as high as trained values are, about."""
    wave = torch.sin(0.7 * torch.arange(values.numel(), dtype=torch.float64) + number).float().reshape(values.shape)
    if "norm" in name or "downsample.1" in name or name.endswith("gamma"):
        return 0.1 * wave if name.endswith("bias") else 1 + 0.2 * wave
    if values.ndim < 2 or name.endswith(("token", "tokens", "embed")):
        return 0.2 * wave
    return wave * (0.7 / values[0].numel()) ** 0.5


def state_by_formula(network: nn.Module) -> dict[str, Tensor]:
    state = dict(sorted(network.state_dict().items()))
    made = {name: by_formula(name, values, number) for number, (name, values) in enumerate(state.items())}
    return {name: made[name.replace("downsample.1", "norm3")] for name in made}


@pytest.fixture(scope="module")
def network() -> Metric3D:
    """A small one with the wave parameters."""
    network = Metric3D(TINY).eval()
    network.load_state_dict(state_by_formula(network))
    return network


def assert_same(found: Tensor, expected: Tensor) -> None:
    """To float32's rounding: the depth is kept as what lacks to 200 m, of which 1e-7 are 0.02 mm; measured 0.15 mm."""
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=5e-4)


def images(count: int, size: Size = SIDES) -> Tensor:
    """Normalised noise."""
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(count))


@pytest.mark.slow
def test_names_and_shapes_are_those_of_the_official_file() -> None:
    """The official module's list, in its order, without the mask token, which the released files do not hold."""
    lines = Path(__file__).with_name("metric3d_vit_small_keys.txt").read_text().splitlines()
    state = build_empty("metric3d_v2_small").state_dict()
    ours = [f"{k} {'x'.join(map(str, v.shape))} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items()]
    assert sorted(ours) == sorted(lines)


def test_the_large_one_has_the_official_counts_and_shapes() -> None:
    """The official module's 530 tensors less the mask token; a few whose shapes tell the proportions."""
    state = build_empty("metric3d_v2_large").state_dict()
    decoder = "depth_model.decoder"
    assert len(state) == 529
    assert state["depth_model.encoder.blocks.0.23.mlp.fc1.weight"].shape == (4096, 1024)
    assert state[f"{decoder}.decoder_mono.upconv_1.out_conv.weight"].shape == (258, 512, 1, 1)
    assert state[f"{decoder}.update_block.gru08.convz.weight"].shape == (128, 128 + 6 + 128, 3, 3)
    assert state[f"{decoder}.context_feature_encoder.outputs16.1.0.downsample.0.weight"].shape == (128, 1024, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("model", METRIC3D, ids=lambda model: model.name)
def test_parameters_are_counted_and_depth_has_the_inputs_size(model) -> None:
    """Without memory: on torch's meta device, at the size that images are fed."""
    with torch.device("meta"):
        network, pixels = build(model.name), torch.empty(2, 3, *SPEC.canvas.size)
    assert sum(p.numel() for p in network.parameters()) == model.parameters
    assert network(pixels).shape == (2, 616, 1064)
    assert find(model.name) is model


@pytest.mark.parametrize("further", [(), ("depth_model.encoder.mask_token",)])
def test_files_load_with_and_without_what_only_training_needs(further) -> None:
    """The released file has no mask token, one saved by the official module has; every other name must be there."""
    model, empty = METRIC3D[0], build_empty("metric3d_v2_small")
    state = {**empty.state_dict(), **dict.fromkeys(further, torch.empty(1, 384))}
    load_into(empty, drop_extra_tensors(model, state))


def test_numbers_are_those_of_the_official_code(network: Metric3D) -> None:
    """What YvanYin/Metric3D at eb5b6fac gave for these parameters: means, and values at a few pixels."""
    at = torch.arange(3 * 56 * 84, dtype=torch.float64)
    pixels = (2 * torch.sin(0.013 * at) + torch.sin(0.37 * at)).float().reshape(1, 3, *SIDES)
    with torch.inference_mode():
        depth, confidence, normals = network.predict_all(pixels)
    spots = ((0, 0), (5, 60), (28, 42), (40, 7), (55, 83))
    found = [float(depth.mean()), *(float(depth[0, y, x]) for y, x in spots)]
    assert found == pytest.approx(OFFICIAL_DEPTH, rel=1e-4, abs=1e-3)
    assert float(confidence.mean()) == pytest.approx(OFFICIAL_CONFIDENCE, rel=1e-4)
    assert normals.mean((0, 2, 3)).tolist() == pytest.approx(OFFICIAL_NORMALS, rel=1e-4)


def test_depth_alone_is_what_everything_tells(network: Metric3D) -> None:
    """Skipping normals where they are not needed changes nothing; they have length one."""
    with torch.inference_mode():
        depth, confidence, normals = network.predict_all(images(2))
        torch.testing.assert_close(network(images(2)), depth, rtol=1e-6, atol=0)
    assert (depth.shape, confidence.shape, normals.shape) == ((2, *SIDES), (2, *SIDES), (2, 4, *SIDES))
    torch.testing.assert_close(normals[:, :3].norm(dim=1), torch.ones(2, *SIDES))
    assert normals[:, 3].min() > 0.01
    assert depth.std() > 1


@pytest.mark.parametrize("size", [Size(56, 84), Size(112, 28), Size(84, 140)])
def test_a_batch_gives_what_its_images_give_alone(network: Metric3D, size: Size) -> None:
    """Nothing passes from one image to another."""
    pixels = images(3, size)
    with torch.inference_mode():
        alone = torch.cat([network(pixels[i : i + 1]) for i in range(3)])
        assert_same(network(pixels), alone)
    assert alone.shape == (3, *size)
    assert alone.min() >= 0.1
    assert alone.max() <= 200


@pytest.mark.parametrize("size", [(294, 532), (56, 70), (27, 56), (0, 28)])
def test_sizes_that_have_no_whole_quarter_are_refused(network: Metric3D, size: tuple[int, int]) -> None:
    """Multiples of 14 alone too: the official code answers 294x532 with 292 rows and no error."""
    with pytest.raises(ValueError, match="multiples of 28"):
        network(torch.rand(1, 3, *size))


def test_upsampling_equals_rafts_formula() -> None:
    """Written with ``unfold`` and seven axes, as in the paper's code."""
    x, logits = torch.randn(2, 3, 4, 5), torch.randn(2, 144, 4, 5)
    weights = logits.reshape(2, 1, 9, 4, 4, 4, 5).softmax(2)
    near = functional.unfold(x, 3, padding=1).reshape(2, 3, 9, 1, 1, 4, 5)
    expected = (weights * near).sum(2).permute(0, 1, 4, 2, 5, 3).reshape(2, 3, 16, 20)
    torch.testing.assert_close(convex_upsampled(x, logits), expected)


def test_a_normal_of_length_zero_stays_one() -> None:
    """No division by zero, and the concentration at its least is 0.01."""
    found = normalised(torch.tensor([0.0, 0.0, 0.0, -1e3]).reshape(1, 4, 1, 1))
    assert found.flatten().tolist() == pytest.approx([0, 0, 0, 0.01], abs=1e-6)


def test_coarse_memories_take_more_steps(network: Metric3D) -> None:
    """Each turn: three steps at 1/14 of the size, two at 1/7, one at 1/4."""
    refine, steps = network.get_submodule("depth_model.decoder.update_block"), []
    assert isinstance(refine, Refinement)
    units = (refine.gru08, refine.gru16, refine.gru32)
    hooks = [gru.register_forward_hook(lambda module, *_: steps.append(units.index(module))) for gru in units]
    with torch.inference_mode():
        network(images(1))
    for hook in hooks:
        hook.remove()
    assert steps == [2, 2, 1, 2, 1, 0] * TINY.iterations


@pytest.mark.slow
def test_a_trace_takes_any_number_of_images(network: Metric3D) -> None:
    """Traced with one, run with one, three and five."""
    frozen = trace(network, SIDES, "small")
    with torch.inference_mode():
        for count in (1, 3, 5):
            assert_same(frozen(images(count)), network(images(count)))


@pytest.mark.slow
def test_one_export_takes_any_batch(network: Metric3D) -> None:
    """The graph has no number of images in it."""
    graph = export(network, (images(2),), dynamic_shapes=({0: Dim("batch", min=1, max=64)},)).module()
    with torch.inference_mode():
        for count in (1, 3, 5):
            assert_same(graph(images(count)), network(images(count)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # torch's own exporter
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-5), ("fp16", 1e-2)])
def test_onnxruntime_gives_what_torch_gives(network: Metric3D, precision: Precision, bound: float) -> None:
    """Mean difference relative to the depth, any batch."""
    content = export_onnx(network, SIDES, precision=precision)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for count in (1, 3, 5):
        with torch.inference_mode():
            expected = network(images(count)).numpy()
        (found,) = session.run(["depth"], {"pixels": images(count).numpy()})
        assert found.shape == (count, *SIDES)
        assert (np.abs(found - expected) / expected).mean() < bound


def near_network(metres: float) -> Metric3D:
    """One that sees everything near ``metres`` and corrects by centimetres."""
    torch.manual_seed(3)
    network = Metric3D(TINY).eval()
    classes = torch.arange(256) - 255 * math.log(metres / 0.1) / math.log(2000)
    with torch.no_grad():
        network.get_parameter("depth_model.decoder.depth_regressor.2.bias").copy_(-0.5 * (classes / 12) ** 2)
        network.get_parameter("depth_model.decoder.depth_regressor.2.weight").mul_(20)
        for part in ("weight", "bias"):
            network.get_parameter(f"depth_model.decoder.update_block.flow_head.conv2d.{part}").mul_(0.02)
    return network


@pytest.mark.parametrize("metres", [1.0, 30.0])
def test_half_precision_keeps_near_depth(metres: float) -> None:
    """The flow's float32 is why: in half precision it has steps of 10 cm near the camera (measured: 7.5% at 1 m)."""
    network, pixels = near_network(metres), images(1)
    with torch.inference_mode():
        expected = network(pixels)
        found = to_precision(copy.deepcopy(network), half_precision_for(network), pixels)(pixels)
    assert found.dtype == torch.float32
    assert float(expected.median()) == pytest.approx(metres, rel=0.5)
    assert float(((found - expected).abs() / expected).mean()) < 1e-3


@pytest.mark.slow
def test_a_trace_in_bfloat16_keeps_near_depth() -> None:
    """Steps of 80 cm, if the cast before the convolutions took the flow's place (measured then: 11%)."""
    network, pixels = near_network(1.0), images(1)
    converted = to_bfloat16(trace(network, SIDES, "small"))
    with torch.inference_mode():
        expected, found = network(pixels), converted(pixels.bfloat16())
    assert found.dtype == torch.float32
    assert float(((found - expected).abs() / expected).mean()) < 5e-3


@pytest.mark.parametrize("model", METRIC3D, ids=lambda model: model.name)
def test_all_its_modules_are_part_of_the_code_version(model) -> None:
    """Else a trace of older code would be used again."""
    files = Path(networks.__file__).parent.joinpath("metric3d").glob("[a-z]*.py")
    assert set(ARCHITECTURES[model.name].modules) == {
        "layers.vit",
        "layers.padding",
        *(f"metric3d.{f.stem}" for f in files),
    }


def test_the_border_is_what_opencv_writes() -> None:
    """Official code gives the mean colour to an image of bytes."""
    import cv2

    colour = (123.675, 116.28, 103.53)
    bordered = cv2.copyMakeBorder(np.zeros((1, 1, 3), np.uint8), 1, 0, 0, 0, cv2.BORDER_CONSTANT, value=colour)
    assert SPEC.canvas is not None
    assert tuple(bordered[0, 0].tolist()) == SPEC.canvas.border
    assert [255 * mean for mean in SPEC.mean] == pytest.approx(colour)
    assert [255 * std for std in SPEC.std] == pytest.approx((58.395, 57.12, 57.375))


def bilinear(values: Floats, size: Size) -> Floats:
    """By pixel centres, with edges repeated, as matrices."""
    rows, columns = (_weights(had, wanted) for had, wanted in zip(values.shape, size, strict=True))
    return rows @ values @ columns.T


def _weights(had: int, wanted: int) -> Floats:
    at = np.clip((np.arange(wanted) + 0.5) * had / wanted - 0.5, 0, had - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(had)))


def by_the_rule(raw: Floats, size: Size, fx_px: float) -> Floats:
    """hubconf.py: cut the border off, enlarge, times the resized image's focal length / 1000, limit."""
    scale = min(616 / size.height, 1064 / size.width)
    h, w = int(size.height * scale), int(size.width * scale)
    top, left = (616 - h) // 2, (1064 - w) // 2
    return np.clip(bilinear(raw[top : top + h, left : left + w], size) * (fx_px * scale) / 1000, 0, 300)


@pytest.mark.parametrize("size", [Size(480, 640), Size(720, 1280), Size(375, 1242), Size(641, 479), Size(97, 1001)])
@pytest.mark.parametrize("known", ["at its size", "at half its size", "not at all"])
def test_metres_follow_the_official_rule(size: Size, known: str) -> None:
    """With the camera's focal length, given for any size of its images, or 1000 pixels without."""
    raw = np.random.default_rng(0).uniform(0.1, 200, (616, 1064)).astype(np.float32)
    camera = Intrinsics(820.5, 700.0, 1.0, 1.0, size)
    intrinsics = {"at its size": camera, "at half its size": camera.scaled_to(Size(size.height // 2, size.width // 2))}
    image_context = ImageContext(size, placement(size, SPEC).scale, intrinsics.get(known))
    found = METRIC3D[0].decode(to_camera(raw, size, SPEC), image_context)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_the_rule(raw, size, 1000.0 if known == "not at all" else 820.5), rtol=1e-4)


def test_far_depth_is_limited_and_unknown_depth_stays_unknown() -> None:
    """0..300 metres; the network's own numbers are left as they are."""
    raw = np.array([[-1.0, 10.0, 150.0, np.nan]], np.float32)
    found = METRIC3D[0].decode(raw, ImageContext(Size(1, 4), 2.0, Intrinsics(2000.0, 1.0, 0, 0, Size(1, 4))))
    np.testing.assert_array_equal(found, np.array([[0, 40, 300, np.nan]], np.float32))
    np.testing.assert_array_equal(raw, np.array([[-1, 10, 150, np.nan]], np.float32))


@pytest.fixture
def reference() -> ModuleType:
    """A second implementation, outside the product."""
    if not REFERENCE.is_file():
        pytest.skip("needs the reference network, which is not part of the product")
    spec = importlib.util.spec_from_file_location("reference_metric3d", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_numbers_are_those_of_another_implementation(network: Metric3D, reference: ModuleType) -> None:
    """Depth to float32's rounding, confidence and normals, at several sizes."""
    reference.VARIANTS["tiny"] = (32, 2, 2, (8, 16, 32, 64), (4, 8, 16, 32, 32), 8, 2)
    other = reference.Metric3D("tiny").eval()
    assert not other.load_state_dict(network.state_dict(), strict=False).unexpected_keys
    for size in (SIDES, Size(140, 56)):
        with torch.inference_mode():
            depth, confidence, normals = other(images(2, size))
            found = network.predict_all(images(2, size))
        assert_same(found[0], depth[:, 0])
        torch.testing.assert_close(found[1:], (confidence[:, 0], normals), rtol=1e-4, atol=1e-5)
