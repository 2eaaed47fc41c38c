"""Windows save work but never lose a pixel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stream.frames import Size
from stream.scenes.renderer.packing import pack
from stream.scenes.renderer.primitives import Shape
from stream.scenes.renderer.raycast import cast_rays
from stream.scenes.renderer.shading import sun_visibility
from stream.scenes.renderer.windows import WASTE_PX, Patches, group_windows
from stream.scenes.world.layouts import random_scene
from stream.scenes.world.tours import tour

SIZE = Size(36, 48)


def without_windows(packed):
    """The same scenes, every slot looked for everywhere."""
    everywhere = tuple(Patches([i], np.array([[0, *SIZE[:1], 0, SIZE[1]]]), *SIZE) for i in range(packed.slot_count))
    return dataclasses.replace(packed, visible=everywhere, shadowed=everywhere)


@pytest.mark.parametrize("seed", range(4))
def test_windows_lose_nothing_in_a_tour(seed):
    """Depth, identity and shadows are those of a search of the whole image, near walls half behind the camera too."""
    packed = pack([tour(seed).at(3.0 * seed)], SIZE)
    hits, expected = cast_rays(packed), cast_rays(everywhere := without_windows(packed))
    assert torch.equal(hits.entry, expected.entry)
    assert torch.equal(hits.distance, expected.distance)
    assert torch.equal(sun_visibility(packed, hits), sun_visibility(everywhere, expected))


def test_windows_lose_nothing_in_a_batch():
    """A batch's window is the union over its scenes."""
    rng = np.random.default_rng(1)
    packed = pack([random_scene(rng, 8) for _ in range(6)], SIZE)
    hits, expected = cast_rays(packed), cast_rays(everywhere := without_windows(packed))
    assert torch.equal(hits.entry, expected.entry)
    assert (sun_visibility(packed, hits) == sun_visibility(everywhere, expected)).float().mean() > 0.9999


def test_groups_hold_one_shape_and_waste_little():
    """Every slot that touches the image is in exactly one group."""
    rng = np.random.default_rng(2)
    start = rng.integers(0, 150, (40, 2))
    windows = np.stack([start[:, 0], start[:, 0] + rng.integers(0, 90, 40), start[:, 1], start[:, 1] + 30], axis=1)
    shapes = [Shape(i % 3) for i in range(40)]
    groups = group_windows(shapes, windows, 1 << 15)
    touched = {i for i, (top, bottom, _, _) in enumerate(windows) if bottom > top}
    assert sorted(slot for g in groups for slot in g.slots) == sorted(touched)
    for g in groups:
        assert len({shapes[slot] for slot in g.slots}) == 1
        used = sum((b - t) * (r - left) for t, b, left, r in g.windows)
        assert len(g.slots) * g.height * g.width - used <= WASTE_PX * len(g.slots)


def test_a_scene_without_objects_is_a_floor_and_a_sky(draw):
    """A scene may have no slot at all."""
    assert set(draw().surface_id.unique().tolist()) == {-1, 4}
