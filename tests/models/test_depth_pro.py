"""Depth Pro is the official network, and its answers become metres by the official rule."""

from __future__ import annotations

import copy
import importlib.util
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.nn import functional

from stream.engines.precision import to_precision
from stream.engines.torchscript import TorchScriptEngine
from stream.errors import EngineError
from stream.frames import Floats, Intrinsics, Size
from stream.models.base import ImageContext
from stream.models.depth_pro import DEPTH_PRO, focal_px
from stream.models.networks import build, outputs_of
from stream.models.networks.depth_pro.encoder import Config
from stream.models.networks.depth_pro.network import DepthPro
from stream.models.networks.depth_pro.tiles import COARSE, FINE, Tiling
from stream.preprocess.cpu import to_camera

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = Config(width=32, depth=2, heads=2, taps=(0, 1), levels=(16, 24, 32, 32), features=16, tile_px=128)
"""Everything there is, of fewer channels and blocks and for images of 512 x 512."""
SIDE = SMALL.side_px


def randomised(network: nn.Module) -> nn.Module:
    """Parameters as different from torch's initial ones as trained ones are; depth is not cut off at zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif parameter.ndim == 3:  # positions and the class token
                parameter.normal_()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d) and layer.out_channels == 1:
                layer.weight.abs_()
                layer.bias.abs_()
    return network.eval()


def images(n: int, side: int = SIDE) -> Tensor:
    """Smooth ones, -1..1, no two alike."""
    coarse = torch.randn(n, 3, side // 8, side // 8, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(-1, 1)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """The same whatever ran before, with a field of view as cameras have: its tangent is no number near 0."""
    torch.manual_seed(0)
    network = randomised(DepthPro(SMALL))
    with torch.no_grad():
        network.fov.head[-1].bias.fill_(55.0)
    return network


def assert_same(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Depth and field of view agree to ``tolerance`` of their largest value."""
    for ours, theirs in zip(found, expected, strict=True):
        limit = tolerance * float(theirs.abs().max())
        torch.testing.assert_close(torch.as_tensor(ours), theirs, rtol=0, atol=limit)


@pytest.mark.slow
def test_names_and_shapes_are_those_of_the_official_checkpoint() -> None:
    """The list was taken from the official code's state dict, in its order."""
    with torch.device("meta"):
        state = build("depth_pro").state_dict()
    ours = [f"{k} {'x'.join(map(str, v.shape))} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items()]
    assert ours == Path(__file__).with_name("depth_pro_keys.txt").read_text().splitlines()


def test_parameters_are_counted() -> None:
    """For the whole network as published, and for the part that estimates the field of view."""
    with torch.device("meta"):
        network = build("depth_pro")
    assert sum(p.numel() for p in network.parameters()) == DEPTH_PRO.parameters == 951_991_330
    assert sum(p.numel() for p in network.fov.parameters()) == 304_259_553


@pytest.mark.parametrize(
    ("tiling", "side", "starts"),
    [(FINE, 1536, [0, 288, 576, 864, 1152]), (COARSE, 768, [0, 192, 384]), (FINE, 512, [0, 96, 192, 288, 384])],
)
def test_tiles_lie_where_the_official_code_cuts_them(tiling: Tiling, side: int, starts: list[int]) -> None:
    """Row by row, for both images of a batch alike; pixels are numbered, so a tile's first pixel gives its place."""
    places = torch.arange(2 * side * side).reshape(2, 1, side, side)
    tile = side // tiling.tiles_long
    tiles = tiling.split(places)
    assert tiles.shape == (len(starts) ** 2, 2, 1, tile, tile)
    firsts = [top * side + left for top in starts for left in starts]
    assert tiles[:, :, 0, 0, 0].tolist() == [[first, first + side * side] for first in firsts]
    assert torch.equal(tiles[-1], places[..., -tile:, -tile:])


@pytest.mark.slow
@pytest.mark.parametrize(("tiling", "side"), [(FINE, 1536), (COARSE, 768), (FINE, 512), (COARSE, 256)])
def test_what_was_seen_of_tiles_lies_side_by_side_again(tiling: Tiling, side: int) -> None:
    """Means of 16 x 16 pixels, taken tile by tile, are laid out as those of the image, every one once."""
    pixels = torch.rand(2, 3, side, side)
    tiles = tiling.split(pixels)
    tokens = functional.avg_pool2d(tiles.flatten(0, 1), 16).unflatten(0, tiles.shape[:2])
    torch.testing.assert_close(tiling.merge(tokens), functional.avg_pool2d(pixels, 16), rtol=0, atol=0)


@pytest.mark.parametrize(("tiling", "given_up"), [(FINE, 3), (COARSE, 6)])
def test_each_tile_gives_up_half_of_an_overlap(tiling: Tiling, given_up: int) -> None:
    """3 and 6 of 24 tokens, the official numbers; at the image's edge none."""
    numbered = torch.arange(tiling.count).reshape(-1, 1, 1, 1, 1).expand(-1, 1, 1, 24, 24)
    first_row = tiling.merge(numbered)[0, 0, 0].tolist()
    lengths = [first_row.count(number) for number in range(tiling.steps)]
    middle = [24 - 2 * given_up] * (tiling.steps - 2)
    assert lengths == [24 - given_up, *middle, 24 - given_up]


def test_the_finest_levels_come_from_blocks_before_the_last_normalisation(network: nn.Module) -> None:
    """Against the transformer's blocks run one by one; only the last output is normalised."""
    transformer, tiles = network.encoder.patch_encoder, images(2, SMALL.tile_px)
    with torch.inference_mode():
        x = functional.conv2d(tiles, transformer.patch_embed.proj.weight, transformer.patch_embed.proj.bias, 16)
        x = torch.cat((transformer.cls_token.expand(2, -1, -1), x.flatten(2).mT), 1) + transformer.pos_embed
        first = transformer.blocks[0](x)
        second = transformer.blocks[1](first)
        deviation, mean = torch.std_mean(second, -1, correction=0, keepdim=True)
        normal = (second - mean) / (deviation**2 + 1e-6).sqrt() * transformer.norm.weight + transformer.norm.bias
        found = transformer.forward_with_taps(tiles, (0, 1))
    assert_same(found, [normal[:, 1:], first[:, 1:], second[:, 1:]])


@pytest.mark.parametrize("size", [(480, 640), (512, 496), (1536, 1536), (0, 512)])
def test_other_sizes_are_refused(network: nn.Module, size: tuple[int, int]) -> None:
    """By a sentence with both sizes."""
    with pytest.raises(ValueError, match=f"images must be 512x512, got {size[1]}x{size[0]}"):
        network(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("tile_px", [0, 64, 200])
def test_tiles_whose_overlaps_are_no_whole_tokens_are_refused(tile_px: int) -> None:
    """They would be laid out askew."""
    with pytest.raises(ValueError, match=f"multiple of 128, got {tile_px}"):
        Config(tile_px=tile_px)


@pytest.mark.slow
def test_a_batch_gives_what_single_images_give(network: nn.Module) -> None:
    """Tiles of several images do not get mixed up; one depth map and one angle an image."""
    pixels = images(3)
    with torch.inference_mode():
        together = network(pixels)
        alone = [torch.cat(values) for values in zip(*(network(one[None]) for one in pixels), strict=True)]
    assert [value.shape for value in together] == [(3, SIDE, SIDE), (3,)]
    assert float(together[0].std()) > 1e-3
    assert len({round(degrees, 5) for degrees in together[1].tolist()}) == 3
    assert_same(together, alone)


@pytest.mark.slow
def test_a_trace_takes_any_number_of_images(network: nn.Module) -> None:
    """Traced with one image, run with three."""
    pixels = images(3)
    with torch.inference_mode():
        trace = torch.jit.trace(network, pixels[:1], check_trace=False)
        assert_same(trace(pixels), network(pixels))


@pytest.fixture(scope="module")
def exported(network: nn.Module) -> ExportedProgram:
    return export(network, (images(2),), dynamic_shapes=({0: Dim("batch", min=1)},))


@pytest.mark.slow
def test_one_export_takes_any_batch(network: nn.Module, exported: ExportedProgram) -> None:
    """The graph gives what the network gives."""
    graph, pixels = exported.module(), images(3)
    with torch.inference_mode():
        for n in (1, 2, 3):
            assert_same(graph(pixels[:n]), network(pixels[:n]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # torch's own exporter
def test_onnx_runtime_gives_what_torch_gives(network: nn.Module, exported: ExportedProgram) -> None:
    """Both outputs, of one to three images; attention is written out and normalisation is not."""
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    program = torch.onnx.export(
        exported, dynamo=True, opset_version=20, verbose=False, output_names=list(outputs_of("depth_pro"))
    )
    assert program is not None
    kinds = [node.op_type for node in program.model_proto.graph.node]
    assert kinds.count("Softmax") == 3 * SMALL.depth
    assert kinds.count("LayerNormalization") == 3 * (2 * SMALL.depth + 1)
    assert "IsNaN" not in kinds
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    pixels, (entry,) = images(3), session.get_inputs()
    for n in (1, 2, 3):
        with torch.inference_mode():
            expected = network(pixels[:n])
        assert_same(session.run(["depth", "fov_deg"], {entry.name: pixels[:n].numpy()}), expected)


def off_by(found: Tensor, expected: Tensor) -> float:
    """The mean difference, in standard deviations of what is expected."""
    return float((found - expected).abs().mean() / expected.std())


@pytest.mark.slow
def test_half_precision_does_not_round_inverse_depth(network: nn.Module) -> None:
    """Computed from features in half, but returned in float32: rounding it would do more harm than all the rest.

    Measured: 5.0e-4 of the standard deviation, and 5.4e-3 by rounding the result alone; 3.2e-4 if the last fusion,
    which is 15% of all arithmetic, stays in float32 too.
    """
    network, pixels = copy.deepcopy(network).half().float(), images(1)  # weights of half precision, as in the file
    with torch.inference_mode():
        whole, whole_degrees = network(pixels)
        depth, degrees = to_precision(network, "fp16", pixels)(pixels)
        mixed, _ = to_precision(network, "mixed", pixels, ("decoder.fusions.0",))(pixels)
    assert depth.dtype == degrees.dtype == mixed.dtype == torch.float32
    assert 0 < off_by(mixed, whole) < off_by(depth, whole) < 1e-3
    assert off_by(depth, whole) < 0.2 * off_by(whole.half().float(), whole)
    assert_same([degrees], [whole_degrees], tolerance=1e-3)


@pytest.mark.slow
def test_depth_and_focal_length_come_out_of_an_engine(network: nn.Module) -> None:
    """From the network's input to metres, each image by its own field of view.

    We resize before we scale and the official code after; that changes nothing.
    """
    engine = TorchScriptEngine(
        "depth_pro",
        lambda: copy.deepcopy(network),
        weights_key="",
        code_version="",
        cache=None,
        threads=1,
        max_batch=2,
        outputs=outputs_of("depth_pro"),
    )
    pixels = images(2)
    with torch.inference_mode():
        expected, degrees = network(pixels)
    found = engine.infer(pixels=pixels.numpy())
    for number, size in enumerate((Size(48, 64), Size(90, 70))):
        image_context = ImageContext(size, scalars={"fov_deg": float(found["fov_deg"][number])})
        depth = DEPTH_PRO.decode(to_camera(found["depth"][number], size, DEPTH_PRO.spec), image_context)
        want = official(expected[number], size, official_focal_px(float(degrees[number]), size))
        np.testing.assert_allclose(depth, want, rtol=1e-4)
    engine.close()


def official_focal_px(degrees: float, size: Size) -> float:
    return float(0.5 * size.width / np.tan(0.5 * np.deg2rad(degrees)))


def official(canonical: Tensor, size: Size, f_px: float) -> Floats:
    """``DepthPro.infer`` after the network: scale, resize, limit, invert, in this order."""
    inverse = canonical[None, None] * (size.width / f_px)
    inverse = functional.interpolate(inverse, size=tuple(size), mode="bilinear", align_corners=False)[0, 0]
    depth: Floats = (1.0 / torch.clamp(inverse, min=1e-4, max=1e4)).numpy()
    return depth


@pytest.mark.parametrize("known", [True, False])
def test_metres_are_those_of_the_official_rule(known: bool) -> None:
    """With the camera's focal length and with the estimated one, from beyond the farthest to before the nearest."""
    size, degrees = Size(120, 160), 63.5
    canonical = torch.rand(size, generator=torch.Generator().manual_seed(0)) ** 8
    canonical[:10], canonical[-10:] = 0, 1e5
    camera = Intrinsics(140.0, 150.0, 79.5, 59.5, size) if known else None
    image_context = ImageContext(size, intrinsics=camera, scalars={"fov_deg": degrees})
    raw = canonical.numpy().copy()
    depth = DEPTH_PRO.decode(raw, image_context)
    expected = official(canonical, size, 140.0 if known else official_focal_px(degrees, size))
    assert depth.dtype == np.float32
    assert (depth.min(), depth.max()) == pytest.approx((1e-4, 1e4))
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    np.testing.assert_array_equal(raw, canonical.numpy())


def test_unknown_stays_unknown() -> None:
    """NaN is not made a distance, neither in the depth nor in the field of view."""
    raw = np.array([[np.nan, 0.5, np.inf]], np.float32)
    depth = DEPTH_PRO.decode(raw, ImageContext(Size(1, 3), scalars={"fov_deg": 90.0}))
    assert np.isnan(depth[0, 0])
    assert depth[0, 1:].tolist() == pytest.approx([1.0, 1e-4])
    assert np.isnan(DEPTH_PRO.decode(raw, ImageContext(Size(1, 3), scalars={"fov_deg": math.nan}))).all()


def test_the_cameras_focal_length_comes_before_the_estimate() -> None:
    """Scaled to the image's size if it was measured at another; and 90 degrees are half the width."""
    size, scalars = Size(360, 640), {"fov_deg": 90.0}
    measured = Intrinsics(1000.0, 1000.0, 639.5, 359.5, Size(720, 1280))
    assert focal_px(ImageContext(size, intrinsics=measured, scalars=scalars)) == 500.0
    assert focal_px(ImageContext(size, scalars=scalars)) == pytest.approx(320.0)


@pytest.mark.parametrize("degrees", [-20.0, 0.0, 180.0, 360.0, math.inf, -math.inf])
def test_an_impossible_field_of_view_gives_a_length_all_the_same(degrees: float) -> None:
    """A network without training may tell any number; its depth stays positive and finite."""
    image_context = ImageContext(Size(2, 2), scalars={"fov_deg": degrees})
    depth = DEPTH_PRO.decode(np.ones((2, 2), np.float32), image_context)
    assert 0 < focal_px(image_context) < math.inf
    assert np.isfinite(depth).all()
    assert (depth > 0).all()


def test_an_engine_without_the_field_of_view_is_named() -> None:
    """The focal length is unknown then; the message says what to do."""
    with pytest.raises(EngineError, match=r'640x480 image without intrinsics.*"fov_deg".*set the camera'):
        DEPTH_PRO.decode(np.ones((480, 640), np.float32), ImageContext(Size(480, 640)))


@pytest.mark.slow
def test_the_network_gives_what_the_checked_prototype_gives() -> None:
    """Ours against the module that was compared with Apple's code at full size; few channels, tiles as released."""
    path = Path(__file__).parents[3] / "shared" / "reference" / "networks" / "depth_pro.py"
    if not path.is_file():
        pytest.skip("needs the prototype in ../shared/reference")
    spec = importlib.util.spec_from_file_location("depth_pro_prototype", path)
    assert spec is not None
    assert spec.loader is not None
    prototype = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prototype)
    reference = randomised(prototype.DepthPro(True, 16, 2, 2, 8, (8, 16, 16, 16), (0, 1)))
    ours = DepthPro(Config(width=16, depth=2, heads=2, taps=(0, 1), levels=(8, 16, 16, 16), features=8)).eval()
    ours.load_state_dict(reference.state_dict())
    pixels = images(1, 1536)
    with torch.inference_mode():
        depth, degrees = reference(pixels)
        assert_same(ours(pixels), (depth[:, 0], degrees.flatten()))
