"""The networks are the official ones: names, shapes, numbers, and what is easily got wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.errors import UnknownModel
from stream.models.networks import build, code_version
from stream.models.networks.layers.refinenet import Fusion, ResidualConvUnit
from stream.models.networks.midas import BN_EPS, HalvingConv, MidasSmall

NAMES = ["midas_small", "tiny"]


def randomised(name: str) -> nn.Module:
    """The network with statistics and offsets as different from torch's initial ones as trained ones are."""
    torch.manual_seed(0)
    network = build(name)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return network


def test_midas_has_the_names_and_shapes_of_the_official_checkpoint() -> None:
    """The list was taken from the official code's state dict, in its order."""
    lines = Path(__file__).with_name("midas_small_keys.txt").read_text().splitlines()
    state = build("midas_small").state_dict()
    ours = [
        f"{k} {'x'.join(map(str, v.shape)) or 'scalar'} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items()
    ]
    assert sorted(ours) == sorted(lines)


@pytest.mark.parametrize(("name", "count"), [("midas_small", 21_320_545), ("tiny", 902_505)])
def test_parameters_are_counted(name: str, count: int) -> None:
    """Exact numbers, as published."""
    assert sum(p.numel() for p in build(name).parameters()) == count


@pytest.mark.parametrize("name", NAMES)
def test_networks_come_in_eval_mode(name: str) -> None:
    """Batch normalisation must not learn from the camera."""
    assert not any(layer.training for layer in build(name).modules())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(32, 64), (64, 32), (96, 128)])
def test_depth_has_the_size_of_the_input(name: str, size: tuple[int, int]) -> None:
    """(N, 3, h, w) in, (N, h, w) out, whichever side is longer."""
    with torch.inference_mode():
        assert build(name)(torch.rand(2, 3, *size)).shape == (2, *size)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(250, 256), (256, 100), (31, 31), (0, 32)])
def test_other_sizes_are_refused(name: str, size: tuple[int, int]) -> None:
    """Not by a tensor mismatch deep inside, but by a sentence."""
    with pytest.raises(ValueError, match="multiples of 32"):
        build(name)(torch.rand(1, 3, *size))


def test_an_unknown_network_is_answered_with_the_near_one() -> None:
    """A slip of the finger is recognised."""
    with pytest.raises(UnknownModel, match='did you mean "midas_small"'):
        build("midas_smal")


def test_code_versions_tell_networks_apart() -> None:
    """They are part of the key under which traces are kept."""
    assert code_version("tiny") != code_version("midas_small")
    assert code_version("tiny") == code_version("tiny")


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(32, 48), (2, 4)])
def test_halving_pads_as_tensorflow_does(kernel: int, size: tuple[int, int]) -> None:
    """Against TensorFlow's rule, written out: total = max((ceil(n / 2) - 1) * 2 + k - n, 0), the odd pixel after."""
    torch.manual_seed(0)
    conv, x = HalvingConv(4, 4, kernel, groups=4), torch.randn(1, 4, *size)
    margins: list[int] = []
    for n in reversed(size):
        total = max((-(-n // 2) - 1) * 2 + kernel - n, 0)
        margins += [total // 2, total - total // 2]
    expected = functional.conv2d(functional.pad(x, margins), conv.weight, stride=2, groups=4)
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=0)


def test_every_stride_of_two_in_midas_is_padded_that_way() -> None:
    """Five halvings: the stem and four stages; none uses torch's symmetric padding."""
    strided = [m for m in build("midas_small").modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert [type(m) for m in strided] == [HalvingConv] * 5
    assert [m.kernel_size[0] for m in strided] == [3, 3, 5, 3, 5]
    assert {m.margins for m in strided} == {(0, 1, 0, 1), (1, 2, 1, 2)}


def test_midas_normalises_with_tensorflows_epsilon() -> None:
    """1e-3, not torch's 1e-5."""
    epsilons = {m.eps for m in build("midas_small").modules() if isinstance(m, nn.BatchNorm2d)}
    assert epsilons == {BN_EPS} == {1e-3}


def aligned_double(x: Tensor) -> Tensor:
    """Bilinear doubling with aligned corners as two matrix products: output i lies at i * (n - 1) / (2n - 1)."""
    rows, columns = (_aligned_weights(n) for n in x.shape[-2:])
    return torch.einsum("oh,nchw,pw->ncop", rows, x, columns)


def _aligned_weights(n: int) -> Tensor:
    at = torch.arange(2 * n, dtype=torch.float64) * (n - 1) / (2 * n - 1)
    return (1 - (at[:, None] - torch.arange(n)[None]).abs()).clamp_min(0).float()


def unit(x: Tensor, u: ResidualConvUnit) -> Tensor:
    y = functional.conv2d(x.clamp_min(0), u.conv1.weight, u.conv1.bias, padding=1)
    return functional.conv2d(y.clamp_min(0), u.conv2.weight, u.conv2.bias, padding=1) + x


def test_fusion_adds_refines_doubles_and_projects_in_this_order() -> None:
    """Against the same written with plain operations; the doubling aligns corners, the projection comes last."""
    torch.manual_seed(0)
    fusion, x, level = Fusion(8, 4), torch.randn(1, 8, 4, 6), torch.randn(1, 8, 4, 6)
    y = aligned_double(unit(x + unit(level, fusion.resConfUnit1), fusion.resConfUnit2))
    expected = functional.conv2d(y, fusion.out_conv.weight, fusion.out_conv.bias)
    torch.testing.assert_close(fusion(x, level), expected, rtol=1e-5, atol=1e-5)


def test_the_head_does_not_align_corners() -> None:
    """Unlike the doublings before it; and its last ReLU keeps inverse depth from falling below zero."""
    head = build("midas_small").scratch.output_conv
    upsample = next(m for m in head if isinstance(m, nn.Upsample))
    assert (upsample.mode, upsample.align_corners, upsample.scale_factor) == ("bilinear", False, 2.0)
    assert isinstance(head[-1], nn.ReLU)


def plain_norm(x: Tensor, bn: nn.BatchNorm2d) -> Tensor:
    scale = bn.weight / (bn.running_var + 1e-3).sqrt()
    return x * scale[:, None, None] + (bn.bias - bn.running_mean * scale)[:, None, None]


def test_the_first_level_equals_its_formula() -> None:
    """Stem, the block without expansion and the first inverted residuals, written out with plain operations."""
    network = randomised("midas_small")
    assert isinstance(network, MidasSmall)
    x = torch.randn(1, 3, 32, 32)
    stem, norm, _, first, second = network.pretrained.layer1
    with torch.inference_mode():
        y = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), stem.weight, stride=2)
        y = plain_norm(y, norm).clamp(0, 6)
        y = plain_norm(functional.conv2d(y, first[0].conv_dw.weight, padding=1, groups=32), first[0].bn1).clamp(0, 6)
        y = plain_norm(functional.conv2d(y, first[0].conv_pw.weight), first[0].bn2)
        for i, block in enumerate(second):
            z = plain_norm(functional.conv2d(y, block.conv_pw.weight), block.bn1).clamp(0, 6)
            z = functional.pad(z, (0, 1, 0, 1) if i == 0 else (1, 1, 1, 1))
            z = functional.conv2d(z, block.conv_dw.weight, stride=2 if i == 0 else 1, groups=len(block.conv_dw.weight))
            z = plain_norm(functional.conv2d(plain_norm(z, block.bn2).clamp(0, 6), block.conv_pwl.weight), block.bn3)
            y = z if i == 0 else y + z
        torch.testing.assert_close(network.pretrained.layer1(x), y, rtol=1e-4, atol=1e-4)


def test_the_unused_unit_of_midas_changes_nothing() -> None:
    """refinenet4's first unit is in the checkpoint, but there is nothing for it to refine."""
    network, x = randomised("midas_small"), torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = network(x)
        for parameter in network.scratch.refinenet4.resConfUnit1.parameters():
            parameter.fill_(float("nan"))
        torch.testing.assert_close(network(x), before, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_trace_takes_any_number_of_images(name: str) -> None:
    """Traced with one image, run with three."""
    network, x = randomised(name), torch.randn(3, 3, 64, 96)
    with torch.inference_mode():
        trace = torch.jit.trace(network, x[:1], check_trace=False)
        expected = network(x)
        tolerance = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(trace(x), expected, rtol=0, atol=tolerance)
