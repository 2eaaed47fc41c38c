"""Preprocessing on a GPU gives the numbers that it gives on the CPU's tensors, for every network there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stream.frames import Size
from stream.models.base import DepthModel
from stream.models.catalog import MODELS
from stream.preprocess.gpu import to_camera, to_network
from tests.gpu.devices import need, nothing_may_wait

pytestmark = pytest.mark.cuda
CAMERAS = [(480, 640), (721, 1279), (97, 133), (300, 200)]


@pytest.fixture(autouse=True)
def gpu() -> None:
    need("cuda")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_there_and_back_it_equals_the_cpu(model: DepthModel) -> None:
    """Within 5e-4 of normalised values; depth within a thousandth of its range."""
    rng = np.random.default_rng(0)
    for H, W in CAMERAS:
        images = torch.from_numpy(rng.integers(0, 256, (2, H, W, 3), np.uint8))
        expected, got = (to_network(images.to(device), model.spec) for device in ("cpu", "cuda"))
        torch.testing.assert_close(got.cpu(), expected, rtol=0, atol=5e-4)
        assert got.is_contiguous(memory_format=torch.channels_last)
        depth = torch.rand(2, *expected.shape[2:])
        back, there = (to_camera(depth.to(device), Size(H, W), model.spec) for device in ("cpu", "cuda"))
        torch.testing.assert_close(there.cpu(), back, rtol=0, atol=1e-3)


def test_nothing_in_it_waits_for_the_device() -> None:
    """torch itself would complain of any operation that does."""
    images = torch.zeros(2, 480, 640, 3, dtype=torch.uint8, device="cuda")
    for model in MODELS:
        to_camera(to_network(images, model.spec)[:, 0], Size(480, 640), model.spec)  # filters are made and copied
    with nothing_may_wait():
        for model in MODELS:
            to_camera(to_network(images, model.spec)[:, 0], Size(480, 640), model.spec)
