"""Cameras of several sizes in one batch: each gets the depth that it would get alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.frames import Frame, Intrinsics, Size
from stream.inference.cpu_estimator import CpuEstimator
from stream.inference.estimator import Estimator
from stream.settings import ModelSettings

CAMERAS = {"wide": (Size(180, 320), 90.0), "hall": (Size(120, 160), 60.0), "door": (Size(240, 320), 75.0)}
"""Two shapes in three sizes, and fields of view in degrees."""
SIDES = {"midas_small": 64, "tiny": 64, "depth_anything_v2_small": 56, "metric3d_v2_small": 140}
"""Small ones: what is compared does not depend on it."""
ONE_SIZE_FOR_ALL = {"metric3d_v2_small"}


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """One of each camera: noise, not the same twice."""
    rng = np.random.default_rng(0)
    return [
        Frame(rng.integers(0, 256, (*size, 3), np.uint8), camera, 0, Stamp.now(), Intrinsics.of_view(fov_deg, size))
        for camera, (size, fov_deg) in CAMERAS.items()
    ]


@pytest.fixture(params=SIDES)
def estimator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Estimator]:
    """Of each family, on the CPU, with random weights; its traces are kept apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "mixed-batches-cache"))
    side = SIDES[request.param]
    settings = ModelSettings(name=request.param, weights="random", side=side, max_batch=3, threads=1, precision="fp32")
    with CpuEstimator(settings) as made:
        yield made


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_each_camera_gets_the_depth_that_it_gets_alone(estimator: Estimator, frames: list[Frame]) -> None:
    """Within 1e-5 of the largest value; every camera once, at its own size."""
    alone = {frame.camera: estimator.estimate(estimator.prepare([frame]))[0] for frame in frames}
    batches = list(estimator.batches(frames))
    assert len(batches) == (1 if estimator.model.name in ONE_SIZE_FOR_ALL else 2)
    together = [depth for batch in batches for depth in estimator.estimate(batch)]
    assert sorted(depth.frame.camera for depth in together) == sorted(CAMERAS)
    for depth in together:
        expected = alone[depth.frame.camera].depth
        assert depth.size == CAMERAS[depth.frame.camera][0]
        assert np.ptp(expected) > 0
        np.testing.assert_allclose(depth.depth, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
