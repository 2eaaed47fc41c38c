"""Depth that is still on the device is painted there; what was changed since, or a device that fails, is not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from stream.core.view_controls import ViewControls
from stream.errors import EngineError, UsageError
from stream.frames import DepthMap, Floats, Frame, Image, Intrinsics, Size
from stream.inference.device_estimator import DeviceEstimator
from stream.models.base import DepthModel
from stream.settings import ModelSettings, RenderSettings, SteadySettings
from stream.stages.render import Painter
from stream.stages.stabilize import Stabilizer
from tests.conftest import FrameMaker
from tests.gpu.devices import DEVICES, by_network, by_torch, need


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return need(request.param)


@pytest.fixture
def make_map(make_frame: FrameMaker, device: str) -> Callable[..., DepthMap]:
    """By the network that comes with the package."""

    def make(seq: int = 0) -> DepthMap:
        rng = np.random.default_rng(seq)
        frame = replace(make_frame(seq), image=rng.integers(0, 255, (48, 64, 3), np.uint8))
        with DeviceEstimator(ModelSettings(), by_torch(device), device) as estimator:
            return estimator.estimate(estimator.prepare([frame]))[0]

    return make


class Watched:
    """Counts what is painted on the device; ``fails``: it is lost."""

    def __init__(self, depth_map: DepthMap, *, fails: bool = False) -> None:
        assert depth_map.on_device is not None
        self._real, self._fails, self.painted = depth_map.on_device, fails, 0

    @property
    def depth(self) -> Floats:
        return self._real.depth

    def paint(self, low: float, high: float, colormap: str) -> Image:
        self.painted += 1
        if self._fails:
            raise EngineError("painting: the device failed: unspecified launch failure")
        return self._real.paint(low, high, colormap)


def on_host(depth_map: DepthMap) -> DepthMap:
    return replace(depth_map, on_device=None)


@pytest.mark.parametrize("colormap", ["inferno", "gray"])
def test_a_view_is_the_same_wherever_it_was_painted(colormap: str, make_map: Callable[..., DepthMap]) -> None:
    """To the byte, for frames whose range follows the scene."""
    here, there = (Painter(RenderSettings(), ViewControls(colormap)) for _ in range(2))
    for seq in range(3):
        depth_map = make_map(seq)
        watched = Watched(depth_map)
        expected, got = here(on_host(depth_map)), there(replace(depth_map, on_device=watched))
        assert watched.painted == 1
        assert (got.low, got.high) == (expected.low, expected.high)
        np.testing.assert_array_equal(got.image, expected.image)


def test_steadied_depth_is_painted_as_it_is(make_map: Callable[..., DepthMap]) -> None:
    """The device has the depth before it was steadied, which is another."""
    maps = [make_map(seq) for seq in range(2)]
    watched = [Watched(depth_map) for depth_map in maps]
    given = [replace(depth_map, on_device=w) for depth_map, w in zip(maps, watched, strict=True)]
    paint, plain = Painter(RenderSettings()), Painter(RenderSettings())
    for steady in Stabilizer(SteadySettings()).body()(given):
        view = paint(steady)
        np.testing.assert_array_equal(view.image, plain(on_host(steady)).image)
        assert (steady.depth is steady.on_device.depth) == (steady.raw is None)
    assert watched[1].painted == 0


def test_a_device_that_fails_is_asked_once(make_map: Callable[..., DepthMap], caplog: pytest.LogCaptureFixture) -> None:
    """Images go on, from the depth that is here; one line in the log."""
    paint, depth_map = Painter(RenderSettings()), make_map()
    watched = Watched(depth_map, fails=True)
    with caplog.at_level(logging.WARNING):
        views = [paint(replace(depth_map, on_device=watched)) for _ in range(3)]
    assert watched.painted == 1
    np.testing.assert_array_equal(views[2].image, Painter(RenderSettings())(on_host(depth_map)).image)
    assert [record.message for record in caplog.records] == [
        "painting: the device failed: unspecified launch failure: depth is painted on the CPU from now on"
    ]


def test_colours_that_do_not_exist(make_map: Callable[..., DepthMap]) -> None:
    """The same error as on the CPU."""
    there = make_map().on_device
    assert there is not None
    with pytest.raises(UsageError, match='"infreno" does not exist; did you mean "inferno"'):
        there.paint(0.0, 1.0, "infreno")


def test_what_is_painted_is_the_receivers_own(make_map: Callable[..., DepthMap]) -> None:
    """A later image does not change an earlier one."""
    there = make_map().on_device
    assert there is not None
    first = there.paint(0.0, 1.0, "inferno")
    kept = first.copy()
    there.paint(-5.0, 9.0, "gray")
    np.testing.assert_array_equal(first, kept)


class Flat(torch.nn.Module):
    """A metre of the canonical camera everywhere, in the shape of the input."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(pixels[:, 0])


def test_every_camera_is_decoded_by_its_own_focal_length(make_frame: FrameMaker, device: str) -> None:
    """In one batch: metres go with the focal length, by the rule that the CPU's way follows."""

    def framed(seq: int, focal_px: float) -> Frame:
        image = np.zeros((48, 64, 3), np.uint8)
        return replace(make_frame(seq), image=image, intrinsics=Intrinsics(focal_px, focal_px, 31, 23, Size(48, 64)))

    frames = [framed(0, 50.0), framed(1, 100.0), framed(2, 50.0)]
    settings = ModelSettings(name="metric3d_v2_small", weights="random", max_batch=4)
    with DeviceEstimator(settings, by_network(device, Flat()), device) as estimator:
        maps = [m for batch in estimator.batches(frames) for m in estimator.estimate(batch)]
        expected = [estimator.decode(np.ones((48, 64), np.float32), frame) for frame in frames]
    model: DepthModel = estimator.model
    assert model.kind == "metric"
    for depth_map, depth in zip(maps, expected, strict=True):
        np.testing.assert_allclose(depth_map.depth, depth, rtol=1e-6)
        assert not depth_map.scale_guessed
    assert maps[1].depth[0, 0] == pytest.approx(2 * maps[0].depth[0, 0])
