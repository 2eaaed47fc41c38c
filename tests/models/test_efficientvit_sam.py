"""EfficientViT-SAM is the official network: names, shapes, numbers, and what is easily got wrong."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stream.errors import UnknownModel
from stream.frames import Size
from stream.models.catalog import SEGMENTERS, find_segmenter
from stream.models.networks import build
from stream.models.networks.efficientvit_sam.image_encoder import LayerNorm2d, LinearAttention
from stream.models.networks.efficientvit_sam.network import Config, EfficientVitSam
from stream.models.networks.efficientvit_sam.postprocess import resize_masks
from stream.preprocess.geometry import placement

pytestmark = pytest.mark.usefixtures("one_thread")

L_LIKE = Config((32, 32, 64, 64, 96), (1, 1, 1, 1, 1), neck=1, neck_expansion=1, side=128)
XL_LIKE = Config((32, 32, 32, 64, 64, 96), (0, 1, 1, 1, 1, 1), neck=1, neck_expansion=4, side=128)
REFERENCE = Path(__file__).parents[3] / "shared/reference/networks/efficientvit_sam.py"


def randomised(shape: Config) -> EfficientVitSam:
    """With statistics and offsets as different from torch's initial ones as trained ones are."""
    torch.manual_seed(0)
    network = EfficientVitSam(shape).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
        if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm | LayerNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    return network


@pytest.fixture(scope="module")
def network() -> EfficientVitSam:
    return randomised(L_LIKE)


@pytest.fixture(scope="module")
def embeddings() -> Tensor:
    """Of three images."""
    return torch.randn(3, 256, 64, 64, generator=torch.Generator().manual_seed(1))


BOXES = torch.tensor([[10.0, 20.0, 300.0, 200.0], [500.3, 100.7, 1000.1, 575.2], [0.0, 0.0, 1024.0, 576.0]])


@pytest.mark.slow
def test_l0_has_the_names_and_shapes_of_the_official_checkpoint() -> None:
    """The list was taken from the official code's state dict."""
    lines = Path(__file__).with_name("efficientvit_sam_l0_keys.txt").read_text().splitlines()
    with torch.device("meta"):
        state = build("efficientvit_sam_l0").state_dict()
    ours = [
        f"{k} {'x'.join(map(str, v.shape)) or 'scalar'} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items()
    ]
    assert sorted(ours) == sorted(lines)


@pytest.mark.parametrize(
    ("variant", "millions"), [("l0", 34.79), ("l1", 47.65), ("l2", 61.33), ("xl0", 116.96), ("xl1", 203.35)]
)
def test_every_variant_has_the_published_number_of_parameters(variant: str, millions: float) -> None:
    """And the exact one that the catalogue says."""
    with torch.device("meta"):
        network = build(f"efficientvit_sam_{variant}")
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 2) == millions
    assert find_segmenter(f"efficientvit_sam_{variant}").parameters == count
    assert find_segmenter(f"efficientvit_sam_{variant}").spec.side == network.image_encoder.side


def test_an_unknown_segmenter_is_answered_with_the_near_one() -> None:
    """A slip of the finger is recognised; depth networks are no segmenters."""
    with pytest.raises(UnknownModel, match='did you mean "efficientvit_sam_xl1"'):
        find_segmenter("efficientvit_sam_x1")
    with pytest.raises(UnknownModel, match='no segmenter "tiny"'):
        find_segmenter("tiny")


def test_every_segmenter_says_where_its_weights_are() -> None:
    """A URL of its own and a hash of its own; free licences."""
    files = [segmenter.weights for segmenter in SEGMENTERS]
    assert len({file.url for file in files}) == len({file.sha256 for file in files}) == len(files) == 5
    assert all(len(file.sha256 or "") == 64 and file.licence == "Apache-2.0" for file in files)


@pytest.mark.parametrize("camera", [Size(480, 640), Size(720, 1280), Size(1081, 1919), Size(641, 271), Size(512, 512)])
def test_images_lie_where_the_official_code_puts_them(camera: Size) -> None:
    """Top left; each side int(side * scale + 0.5), in the encoder's square and in the decoder's of 1024."""
    for segmenter in SEGMENTERS:
        for spec, side in ((segmenter.spec, segmenter.spec.side), (segmenter.box_frame, 1024)):
            place, scale = placement(camera, spec), side * 1.0 / max(camera)
            assert place.size == (int(camera.height * scale + 0.5), int(camera.width * scale + 0.5))
            assert (place.top, place.left, place.canvas) == (0, 0, (side, side))


def test_every_norm_has_the_official_epsilon(network: EfficientVitSam) -> None:
    """1e-6 everywhere, where torch has 1e-5."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.LayerNorm)]
    assert len(norms) > 20
    assert {norm.eps for norm in norms} == {1e-6}
    x = torch.randn(2, 8, 3, 5) * 1e-3  # so small that the epsilon decides
    expected = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (8,), eps=1e-6).permute(0, 3, 1, 2)
    torch.testing.assert_close(LayerNorm2d(8)(x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("size", "kernel"), [((5, 7), 3), ((4, 4), 5)])
def test_linear_attention_is_attention_with_relu(size: tuple[int, int], kernel: int) -> None:
    """Against the form whose cost is the square of the number of places."""
    torch.manual_seed(0)
    layer, x = LinearAttention(64, kernel).eval(), torch.randn(2, 64, *size)
    with torch.inference_mode():
        near = layer.qkv(x)
        heads = torch.cat((near, layer.aggreg[0](near)), 1).flatten(2).unflatten(1, (4, 3, 32)).double()
        q, k, v = heads[:, :, 0].relu(), heads[:, :, 1].relu(), heads[:, :, 2]
        weights = q.transpose(-1, -2) @ k  # of each place for each
        seen = (weights / weights.sum(-1, keepdim=True).clamp_min(1e-15)) @ v.transpose(-1, -2)
        expected = layer.proj(seen.transpose(-1, -2).reshape(2, 128, *size).float())
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_linear_attention_in_half_precision_does_not_overflow() -> None:
    """Its sums over places are hundreds of times what half precision can hold."""
    torch.manual_seed(0)
    layer, x = LinearAttention(64, 5).eval(), 40 * torch.randn(1, 64, 64, 64)
    with torch.inference_mode():
        near = layer.qkv(x)
        assert (
            float((near[:, 32:64].relu() * near[:, 64:96].abs()).sum((2, 3)).max()) > 10 * torch.finfo(torch.half).max
        )
        wanted = layer(x)
        found = layer.half()(x.half()).float()
    assert float((found - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


def test_the_norm_in_half_precision_does_not_overflow() -> None:
    """Squares of 300 and more are out of its range."""
    torch.manual_seed(0)
    norm, x = LayerNorm2d(16), 2000 * torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(norm.half()(x.half()).float(), LayerNorm2d(16)(x), rtol=2e-3, atol=2e-3)


def test_other_sizes_are_refused(network: EfficientVitSam) -> None:
    """Boxes would be in the wrong places; a sentence says so."""
    with pytest.raises(ValueError, match="must be 128x128, got 256x128"):
        network(torch.rand(1, 3, 128, 256))


@pytest.mark.slow
@pytest.mark.parametrize("multimask", [False, True])
def test_boxes_of_several_images_are_one_batch(network: EfficientVitSam, embeddings: Tensor, multimask: bool) -> None:
    """The same as a call for each image, in any order of boxes."""
    decoder, index = network.decoder(multimask=multimask), torch.tensor([2, 0, 2])
    with torch.inference_mode():
        logits, iou = decoder(embeddings, BOXES, index)
        assert logits.shape == (3, 3 if multimask else 1, 256, 256)
        for k, image in enumerate(index):
            one = decoder(embeddings[image][None], BOXES[k][None], torch.tensor([0]))
            torch.testing.assert_close(logits[k], one[0][0], rtol=0, atol=2e-6 * float(logits.abs().max()))
            torch.testing.assert_close(iou[k], one[1][0], rtol=0, atol=2e-6)
        assert not torch.allclose(logits[0], logits[2], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("multimask", "others"), [(False, (1, 2, 3)), (True, (0,))])
def test_one_mask_is_the_first_and_guesses_are_the_other_three(
    network: EfficientVitSam, embeddings: Tensor, multimask: bool, others: tuple[int, ...]
) -> None:
    """Masks that are not requested are not even computed."""
    poisoned, arguments = randomised(L_LIKE), (embeddings, BOXES[:1], torch.tensor([1]))
    with torch.inference_mode():
        for parameter in (p for i in others for p in poisoned.mask_decoder.output_hypernetworks_mlps[i].parameters()):
            parameter.fill_(math.nan)
        wanted = network.decoder(multimask=multimask)(*arguments)
        for found, expected in zip(poisoned.decoder(multimask=multimask)(*arguments), wanted, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_corners_are_encoded_as_waves(network: EfficientVitSam) -> None:
    """(xy + 0.5) / 1024 to -1..1, times the matrix and 2 pi, sine and cosine, plus the corner's own embedding."""
    encoder = network.prompt_encoder
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix.double()
    with torch.inference_mode():
        tokens = encoder.boxes(BOXES)
        for k, (corner, place) in enumerate(((0, BOXES[1, :2]), (1, BOXES[1, 2:]))):
            phase = 2 * math.pi * ((2 * (place.double() + 0.5) / 1024 - 1) @ matrix)
            expected = torch.cat((phase.sin(), phase.cos())).float() + encoder.point_embeddings[2 + k].weight[0]
            torch.testing.assert_close(tokens[1, corner], expected, rtol=0, atol=1e-4)
        middle = torch.tensor([40.5, 3.5]) / 64  # column 40 of row 3
        torch.testing.assert_close(encoder.grid()[0, 3 * 64 + 40], encoder.pe_layer(middle), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_decoder_in_half_precision_knows_where_boxes_are(network: EfficientVitSam, embeddings: Tensor) -> None:
    """Only the mask decoder is half: the logits are those of float32 to about a hundredth of their spread."""
    index, halved = torch.tensor([0, 1, 2]), randomised(L_LIKE).decoder()
    halved.mask_decoder.half()
    with torch.inference_mode():
        wanted, found = network.decoder()(embeddings, BOXES, index), halved(embeddings, BOXES, index)
    assert found[0].dtype == found[1].dtype == torch.float32
    assert float((found[0] - wanted[0]).abs().mean()) < 0.01 * float(wanted[0].std())
    torch.testing.assert_close(found[1], wanted[1], rtol=0, atol=0.01)


@pytest.mark.parametrize("size", [(480, 640), (641, 271), (72, 128), (37, 500), (9, 9), (513, 1021), (24, 1023)])
def test_masks_are_those_of_the_straightforward_way(size: tuple[int, int]) -> None:
    """All of the frame of 1024 in float32, cut, and resized again: equal to the bit, also at the cut's edges."""
    image, framed = Size(*size), placement(Size(*size), SEGMENTERS[0].box_frame).size
    coarse = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(size[0]))
    logits = interpolate(coarse, (256, 256), mode="bicubic")[:, 0]
    logits[2] = torch.randn(256, 256, generator=torch.Generator().manual_seed(2))
    whole = interpolate(logits[:, None], (1024, 1024), mode="bilinear", align_corners=False)
    cut = whole[..., : framed.height, : framed.width]
    expected = interpolate(cut, size, mode="bilinear", align_corners=False)[:, 0] > 0
    masks = resize_masks(logits, framed, image)
    assert masks.dtype == torch.bool
    assert masks.shape == (3, *size)
    assert 0.2 < float(expected.float().mean()) < 0.8
    assert torch.equal(masks, expected)


@pytest.mark.slow
@pytest.mark.skipif(not REFERENCE.exists(), reason="the prototype that was compared with the official code is not here")
@pytest.mark.parametrize("shape", [L_LIKE, XL_LIKE], ids=["L", "XL"])
def test_the_numbers_are_those_of_the_checked_prototype(shape: Config) -> None:
    """To the bit, with few channels; the prototype was compared with the official code."""
    prototype, network = _reference(), randomised(shape)
    prototype.VARIANTS["small"] = (shape.widths, shape.depths, shape.neck, shape.side)
    theirs = prototype.EfficientViTSam("small").eval()
    theirs.load_state_dict(network.state_dict())
    pixels, index = torch.randn(2, 3, 128, 128), torch.tensor([1, 0, 1])
    with torch.inference_mode():
        embedded = network(pixels)
        torch.testing.assert_close(embedded, theirs.encode(pixels), rtol=0, atol=0)
        for multimask in (False, True):
            ours = network.decoder(multimask=multimask)(embedded, BOXES, index)
            for found, wanted in zip(ours, theirs.decode(embedded, BOXES, index, multimask), strict=True):
                torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("efficientvit_sam_prototype", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
