"""Depth back to the camera's size, against the rules of each network's authors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from stream.frames import Floats, Size
from stream.models.spec import InputSpec
from stream.preprocess import cpu, gpu
from stream.preprocess.geometry import network_size
from tests.preprocess.official import DEPTH_ANYTHING, METRIC3D, MIDAS, bilinear, depth_pro_spec

SIZES = [(480, 640), (97, 33), (192, 256), (64, 100), (720, 1280)]
FARTHEST = 100.0


def depth_for(size: tuple[int, int], spec: InputSpec) -> Floats:
    """A stand-in for a network's output for such an image: noise, 0..100."""
    shape = network_size(Size(*size), spec)
    return np.random.default_rng(1).uniform(0, FARTHEST, shape).astype(np.float32)


def both_ways(depth: Floats, size: tuple[int, int], spec: InputSpec) -> list[np.ndarray]:
    """By OpenCV and numpy, and by torch."""
    ours = [
        cpu.to_camera(depth, Size(*size), spec),
        gpu.to_camera(torch.from_numpy(depth)[None], Size(*size), spec)[0].numpy(),
    ]
    assert all((map_.shape, map_.dtype) == (size, np.float32) for map_ in ours)
    return ours


@pytest.mark.parametrize("size", SIZES)
def test_midas_is_torchs_bicubic(size: tuple[int, int]) -> None:
    """F.interpolate(mode="bicubic", align_corners=False), also when shrinking."""
    depth = np.random.default_rng(1).uniform(0, FARTHEST, (192, 256)).astype(np.float32)
    expected = interpolate(torch.from_numpy(depth)[None, None], size, mode="bicubic", align_corners=False)[0, 0]
    for got in both_ways(depth, size, MIDAS):
        # OpenCV rounds its sampling positions differently: up to 3e-5 of the range
        np.testing.assert_allclose(got, expected, rtol=0, atol=5e-5 * FARTHEST)


@pytest.mark.parametrize("size", SIZES)
def test_depth_anything_keeps_the_corners(size: tuple[int, int]) -> None:
    """Bilinear with the outermost pixels in their places, at exact positions; torch rounds them to float32."""
    depth = depth_for(size, DEPTH_ANYTHING)
    torchs = interpolate(torch.from_numpy(depth)[None, None], size, mode="bilinear", align_corners=True)[0, 0]
    for got in both_ways(depth, size, DEPTH_ANYTHING):
        np.testing.assert_allclose(got, bilinear(depth, size, corners=True), rtol=0, atol=1e-6 * FARTHEST)
        np.testing.assert_allclose(got, torchs, rtol=0, atol=2e-4 * FARTHEST)


@pytest.mark.parametrize("size", SIZES)
def test_metric3d_is_cut_out_of_its_border_first(size: tuple[int, int]) -> None:
    """The border's depth is cut off before the bilinear resize: nothing of it is in any pixel."""
    H, W = size
    scale = min(616 / H, 1064 / W)
    height, width = int(H * scale), int(W * scale)
    top, left = (616 - height) // 2, (1064 - width) // 2
    inside = depth_for(size, METRIC3D)[top : top + height, left : left + width]
    depth = np.full((616, 1064), np.nan, np.float32)
    depth[top : top + height, left : left + width] = inside
    for got in both_ways(depth, size, METRIC3D):
        np.testing.assert_allclose(got, bilinear(inside, size, corners=False), rtol=0, atol=2e-4 * FARTHEST)


@pytest.mark.parametrize("size", SIZES)
def test_depth_pros_square_becomes_the_image(size: tuple[int, int]) -> None:
    """Bilinear, each side by its own scale."""
    spec = depth_pro_spec(384)
    depth = depth_for(size, spec)
    for got in both_ways(depth, size, spec):
        np.testing.assert_allclose(got, bilinear(depth, size, corners=False), rtol=0, atol=2e-4 * FARTHEST)


@pytest.mark.parametrize("spec", [MIDAS, DEPTH_ANYTHING, METRIC3D, depth_pro_spec(384)])
def test_the_result_is_an_array_of_its_own(spec: InputSpec) -> None:
    """Also where the network's size is the camera's: an engine writes its next output over this one."""
    size = network_size(Size(480, 640), spec)
    depth = np.ones(network_size(size, spec), np.float32)
    for got in both_ways(depth, size, spec):
        depth[:] = 7
        assert (got == 1).all()
        depth[:] = 1
