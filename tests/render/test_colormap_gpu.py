"""Colour maps in torch have the levels of the CPU version; tested on CPU tensors, and on a GPU if available."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stream.frames import Floats
from stream.render import colormap
from stream.render.colormap import COLORMAPS, lut
from stream.render.colormap_gpu import lut_on, paint

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
RANGES = [
    (0.0, 1.0),
    (5.0, -3.0),
    (2.0, 2.0),
    (1e-31, 2e-31),
    (1000.0, 1000.001),
    (-1e30, 1e30),
    (0.0, math.inf),
    (math.nan, 1.0),
    (0.7, 12.3),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    return torch.device(request.param)


def depth_of(low: float, high: float) -> Floats:
    """Values in, at and beyond the range, unknown ones and infinite ones."""
    rng, known = np.random.default_rng(0), (math.isfinite(low) and math.isfinite(high))
    centre, width = (0.5 * (low + high), abs(high - low) or 1.0) if known else (0.0, 1.0)
    depth: Floats = (centre + width * rng.uniform(-0.8, 0.8, (61, 83))).astype(np.float32)
    depth[:3, :4] = np.array([[low, high, np.nan, np.inf], [-np.inf, 0, -0.0, 1], [centre, 2, 3, np.nan]])
    return depth


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_levels_are_the_cpus(low: float, high: float, device: torch.device) -> None:
    """Every pixel agrees for every range: wide, narrow, reversed, empty and not finite."""
    depth = depth_of(low, high)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    expected = colormap.paint(depth, low, high, ramp)
    got = paint(torch.from_numpy(depth).to(device), low, high, torch.from_numpy(ramp).to(device)).cpu().numpy()
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", COLORMAPS)
def test_colours_are_the_cpus(name: str, device: torch.device) -> None:
    """A whole batch agrees, and the depth is not modified."""
    depth = np.stack([depth_of(0.0, 1.0), depth_of(0.0, 1.0)[::-1]])
    on_device = torch.from_numpy(depth.copy()).to(device)
    got = paint(on_device, 1.0, 0.0, lut_on(name, device)).cpu().numpy()
    assert (got.shape, got.dtype) == ((2, 61, 83, 3), np.uint8)
    for image, one in zip(got, depth, strict=True):
        np.testing.assert_array_equal(image, colormap.paint(one, 1.0, 0.0, lut(name)))
    np.testing.assert_array_equal(on_device.cpu().numpy(), depth)
    assert lut_on(name, device) is lut_on(name, device)
