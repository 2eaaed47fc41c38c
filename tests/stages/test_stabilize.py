"""Stabilised depth: jumps of scale are removed, metres are unchanged, cuts start anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.core.clock import Stamp
from stream.frames import DepthMap, Frame
from stream.settings import SteadySettings
from stream.stages.stabilize import Stabilizer

RNG = np.random.default_rng(3)
IMAGE = RNG.integers(60, 190, (60, 80, 3)).astype(np.uint8)
DEPTH = RNG.gamma(2.0, 1.0, (60, 80)).astype(np.float32)


def depth_map(seq: int, scale: float = 1.0, shift: float = 0.0, **changes) -> DepthMap:
    """The same scene in a given scale and shift; 25 frames per second."""
    image = changes.pop("image", IMAGE)
    frame = Frame(image, changes.pop("camera", "cam0"), seq, Stamp(0, 0, "file", media_s=seq / 25))
    return replace(
        DepthMap(np.float32(scale) * DEPTH + np.float32(shift), "relative_inverse", frame, "tiny"), **changes
    )


def stabilised(maps: list[DepthMap], half_life_s: float = 2.0) -> list[DepthMap]:
    return list(Stabilizer(SteadySettings(half_life_s=half_life_s)).body()(maps))


def test_a_jump_of_scale_is_let_through_slowly() -> None:
    """Half of the jump is let through after the half-life; right after it, depth is unchanged."""
    out = stabilised([depth_map(seq, 1.0 if seq == 0 else 2.0) for seq in range(60)], half_life_s=1.0)
    ratios = [float(np.std(each.depth) / np.std(DEPTH)) for each in out]
    assert ratios[1] == pytest.approx(1.0, abs=0.05)
    assert ratios[25] == pytest.approx(1.5, abs=0.05)
    assert ratios == sorted(ratios)


def test_the_networks_own_values_stay_available() -> None:
    """Changed depth keeps its original in ``raw``; unchanged depth has none."""
    first, second = stabilised([depth_map(0), depth_map(1, 2.0, 1.0)])
    assert first.raw is None
    assert first.depth is not None
    np.testing.assert_array_equal(second.raw, depth_map(1, 2.0, 1.0).depth)


def test_restless_scale_becomes_still() -> None:
    """Every frame in another scale: the flicker index falls to a tenth."""
    scales = RNG.uniform(0.8, 1.25, 50)
    stabilizer = Stabilizer(SteadySettings())
    list(stabilizer.body()(depth_map(seq, scale, scale - 1) for seq, scale in enumerate(scales)))
    levels = stabilizer.statistics()
    assert levels["cam0 raw"] > 5
    assert levels["cam0 steady"] < 0.1 * levels["cam0 raw"]


def test_metres_are_left_as_they_are() -> None:
    """A rescaled metre would be wrong; its flicker is reported all the same."""
    stabilizer = Stabilizer(SteadySettings())
    maps = [depth_map(seq, 1 + seq % 2, kind="metric") for seq in range(4)]
    for before, after in zip(maps, stabilizer.body()(maps), strict=True):
        assert after is before
    assert stabilizer.statistics()["cam0 raw"] == stabilizer.statistics()["cam0 steady"] > 5


def test_a_cut_starts_anew() -> None:
    """Another scene has another scale; nothing of the old one is carried over."""
    bright = np.full_like(IMAGE, 250)
    maps = [depth_map(0), depth_map(1, 5.0, image=bright)]
    assert stabilised(maps)[1] is maps[1]


def test_another_network_starts_anew() -> None:
    """When the fallback network takes over, its depth is not aligned to the first network's."""
    maps = [depth_map(0), depth_map(1, 5.0, model="midas_small")]
    assert stabilised(maps)[1] is maps[1]


def test_cameras_are_kept_apart() -> None:
    """Each has a scale of its own."""
    maps = [depth_map(0, camera="left"), depth_map(0, 3.0, camera="right"), depth_map(1, 3.0, camera="right")]
    out = stabilised(maps)
    np.testing.assert_allclose(out[2].depth, maps[2].depth, rtol=1e-3)
    assert out[1] is maps[1]


@pytest.mark.parametrize(
    ("before", "after"), [((480, 640), (1080, 1920)), ((720, 1280), (576, 720)), ((48, 64), (30, 40))]
)
def test_another_image_size_starts_anew(before: tuple[int, int], after: tuple[int, int]) -> None:
    """A camera may change it at any time; samples of two sizes are of different places, and of different numbers."""
    sizes = [before, before, after, after]
    maps = [ramp_at(size, seq, 1.0 + seq) for seq, size in enumerate(sizes)]
    out = stabilised(maps)
    assert [each is before for each, before in zip(out, maps, strict=True)] == [True, False, True, False]
    assert [each.depth.shape for each in out] == sizes


def test_another_size_of_depth_starts_anew() -> None:
    """This holds even if the image's size is unchanged."""
    maps = [depth_map(0), depth_map(1), replace(depth_map(2), depth=DEPTH[:30])]
    assert stabilised(maps)[2] is maps[2]


def ramp_at(size: tuple[int, int], seq: int, scale: float) -> DepthMap:
    """A ramp that looks the same at every size."""
    ramp = np.broadcast_to(np.linspace(0, 250, size[1], dtype=np.float32), size)
    image = np.broadcast_to(ramp[..., None], (*size, 3)).astype(np.uint8)
    return replace(depth_map(seq, image=image), depth=np.float32(scale) * (ramp + 1))
