"""Thin objects, and the families that have no floor."""

from __future__ import annotations

import numpy as np
import pytest

from stream.frames import Size
from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.packing import pack
from stream.scenes.renderer.raycast import FLOOR
from stream.scenes.renderer.render import render
from stream.scenes.renderer.textures import random_atlas
from stream.scenes.renderer.vectors import vector
from stream.scenes.world.layouts import FAMILIES, random_scene, worth_keeping
from stream.scenes.world.thin import bicycle, lattice, leaves, ring, rod, twigs

SIZE = Size(48, 64)
WITHOUT_FLOOR = ("close_up", "curve", "from_above", "upward", "thicket", "wall_ahead")


@pytest.mark.parametrize("end", [(1, 2, 3), (0, 0, 2), (0, 0, -2), (-1, 0.5, 0)])
def test_a_rod_joins_its_two_points(end, material):
    """In every direction, straight up and down too."""
    start, stop = vector(0.5, -0.2, 1), vector(0.5, -0.2, 1) + vector(*end)
    part = rod(start, stop, 0.01, material)
    reach = part.turn @ vector(0, 0, part.half[2])
    np.testing.assert_allclose(part.center - reach, start, atol=1e-9)
    np.testing.assert_allclose(part.center + reach, stop, atol=1e-9)


def test_one_sees_through_a_wheel(draw, material):
    """A ring without spokes: its rim at 0.5 m round the middle, the sky in between."""
    parts = [
        part.moved(vector(3, 0, 1), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
        for part in ring(0.5, 0.03, material, material, spokes=0)
    ]
    images = draw(*parts, camera=Camera((0, 0, 1.5)))
    rim = (images.surface_id[0] >= 0) & (images.surface_id[0] < len(parts))
    v, u = rim.nonzero().numpy().T
    height, width = rim.shape
    assert rim.sum() > 20
    assert not rim[height // 2 - 3 : height // 2 + 3, width // 2 - 3 : width // 2 + 3].any()
    focal = width / 2 / np.tan(np.radians(30))
    radius = np.hypot(u - (width - 1) / 2, v - (height - 1) / 2) / focal * 3
    assert np.abs(radius - 0.5).max() < 0.09


def test_thin_things_stand_on_the_ground_and_keep_their_size(material):
    """Nothing is much below z = 0 or beyond the stated size."""
    rng = np.random.default_rng(0)
    things = {
        "leaves": leaves(rng, 1.0, 12, material),
        "twigs": twigs(rng, 1.0, 8, material),
        "ring": ring(0.5, 0.02, material, material),
        "bicycle": bicycle(1.0, material, material),
        "lattice": lattice(1.0, 1.0, 6, 3, thickness=0.01, wood=material),
    }
    for name, parts in things.items():
        for part in parts:
            reach = np.abs(part.turn) @ part.half
            assert (part.center - reach)[2] > -0.12, name
            assert np.abs(np.concatenate([part.center + reach, part.center - reach])).max() < 1.7, name


@pytest.mark.parametrize("family", WITHOUT_FLOOR)
def test_the_lower_edge_is_no_floor_that_comes_nearer(family):
    """The purpose of these families: the lowest rows seldom show a floor much nearer than the image's middle."""
    rng, atlas = np.random.default_rng(11), random_atlas(0, 8, side=16)
    scenes = [random_scene(rng, atlas.count, family) for _ in range(16)]
    images = render(scenes, atlas, SIZE, shadows=False, occlusion=False)
    keep = worth_keeping(images.depth, images.surface_id)
    depth, ident = images.depth[keep].numpy(), images.surface_id[keep].numpy()
    middle = np.median(depth[:, 16:32], axis=(1, 2))[:, None, None]
    floor = ident[:, -4:] == pack(scenes, SIZE).slot_count + FLOOR
    assert (floor & (depth[:, -4:] < 0.6 * middle)).mean() < 0.1


def test_three_views_in_ten_have_no_floor():
    """The shares of the families."""
    total = sum(share for _, share in FAMILIES.values())
    assert sum(FAMILIES[name][1] for name in WITHOUT_FLOOR) / total == pytest.approx(0.3)
