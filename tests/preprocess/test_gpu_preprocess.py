"""Preprocessing in torch, on CPU tensors and, if available, on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from stream.frames import Size
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec, Interpolation
from stream.preprocess import cpu
from stream.preprocess.geometry import network_size
from stream.preprocess.gpu import resized, to_camera, to_network
from tests.preprocess.official import CANVASES, MIDAS, ODD_SIZES, WAYS, levels, midas, sample_images

MEAN, STD = (np.array(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Full float32 in matrix products, which are otherwise rounded on some GPUs."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield str(request.param)
    torch.set_float32_matmul_precision(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("size", ODD_SIZES)
def test_it_equals_the_official_path(size: tuple[int, int], name: str, device: str) -> None:
    """Within 5e-4 on normalised values, both images in one batch; PIL's bytes exactly, OpenCV's within one level."""
    if name.startswith("sam"):
        pytest.importorskip("PIL")
    way, images = WAYS[name], sample_images(size)
    pixels = to_network(torch.from_numpy(np.stack(images)).to(device), way.spec).cpu().numpy()
    for got, image in zip(pixels, images, strict=True):
        expected = way(image)
        if name == "metric3d":
            assert np.abs(levels(got, way.spec) - levels(expected, way.spec)).max() <= 1
            expected = (levels(got, way.spec) / 255 - MEAN) / STD
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 if way.spec.round_to_bytes else 5e-4)


@pytest.mark.slow
def test_any_size_within_the_bound(device: str) -> None:
    """Sixty random sizes, with any remainder by the multiple."""
    rng = np.random.default_rng(0)
    for H, W in rng.integers(20, 420, (60, 2)).tolist():
        image = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
        got = to_network(torch.from_numpy(image[None]).to(device), MIDAS)[0].cpu().numpy()
        np.testing.assert_allclose(got, midas(image, MIDAS), rtol=0, atol=5e-4, err_msg=f"{W}x{H}")


def test_half_precision_is_the_rounded_single(device: str) -> None:
    """Computed in float32, rounded once at the end."""
    image = torch.from_numpy(np.stack(sample_images((97, 133)))).to(device)
    half = to_network(image, MIDAS, torch.float16)
    assert half.dtype == torch.float16
    assert torch.equal(half, to_network(image, MIDAS).half())


@pytest.mark.parametrize("name", CANVASES)
def test_a_border_is_the_rounded_single_too(name: str, device: str) -> None:
    """Half precision on a canvas, which is filled in that precision."""
    image = torch.from_numpy(np.stack(sample_images((97, 133)))).to(device)
    assert torch.equal(to_network(image, CANVASES[name], torch.float16), to_network(image, CANVASES[name]).half())


@pytest.mark.parametrize("spec", [MIDAS, *CANVASES.values()], ids=["midas", *CANVASES])
def test_memory_is_channels_last(spec: InputSpec, device: str) -> None:
    """As convolutions want it."""
    pixels = to_network(torch.zeros(3, 48, 64, 3, dtype=torch.uint8, device=device), spec)
    assert pixels.shape == (3, 3, *network_size(Size(48, 64), spec))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_the_images_are_left_alone(device: str) -> None:
    """They are unchanged even where no resize makes a copy."""
    batch = torch.full((1, 192, 256, 3), 7, dtype=torch.uint8, device=device)
    to_network(batch, MIDAS)
    planes = torch.ones(1, 1, 4, 4, device=device)
    resized(planes, Size(4, 4), "cubic").zero_()
    assert bool((batch == 7).all())
    assert bool((planes == 1).all())


@pytest.mark.parametrize("size", [(480, 640), (721, 1279), (301, 403), (200, 260), (97, 133), (60, 500)])
def test_by_area_it_equals_opencvs(size: tuple[int, int], device: str) -> None:
    """Two matrix products; whole and broken ratios."""
    spec = replace(MIDAS, resize="area")
    image = sample_images(size)[0]
    got = to_network(torch.from_numpy(image[None]).to(device), spec)[0].cpu().numpy()
    np.testing.assert_allclose(got, cpu.to_network([image], spec)[0], rtol=0, atol=5e-5)


@pytest.mark.parametrize("how", get_args(Interpolation))
@pytest.mark.parametrize("size", [(480, 640), (97, 33), (100, 400), (400, 100), (720, 1280)])
def test_the_way_back_is_the_cpus(size: tuple[int, int], how: Interpolation, device: str) -> None:
    """Every filter agrees with the CPU, enlarging and shrinking."""
    spec = replace(MIDAS, restore=how)
    depth = np.random.default_rng(1).uniform(0, 100, (192, 256)).astype(np.float32)
    got = to_camera(torch.from_numpy(depth[None]).to(device), Size(*size), spec)[0].cpu().numpy()
    expected = cpu.to_camera(depth, Size(*size), spec)
    assert got.shape == size
    if how == "nearest":  # at ties OpenCV and torch may take different neighbours
        assert np.mean(got != expected) < 0.01
    else:
        np.testing.assert_allclose(got, expected, rtol=0, atol=0.05)
