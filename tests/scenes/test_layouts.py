"""Random scenes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stream.frames import Size
from stream.scenes.renderer.render import Images, render
from stream.scenes.renderer.textures import Atlas, random_atlas
from stream.scenes.world.layouts import FAMILIES, random_scene, worth_keeping

SIZE = Size(48, 64)


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return random_atlas(0, 24, side=32)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_images_with_depth(family, atlas):
    """Positive depth, infinite only in the sky, colours in 0..1, and most views are worth keeping."""
    rng = np.random.default_rng(7)
    images = render([random_scene(rng, atlas.count, family) for _ in range(12)], atlas, SIZE)
    assert bool((images.depth > 0).all())
    assert torch.equal(images.depth.isinf(), images.surface_id == -1)
    assert bool(((images.rgb >= 0) & (images.rgb <= 1)).all())
    assert worth_keeping(images.depth, images.surface_id).sum() >= 5


def test_a_seed_gives_one_scene(atlas):
    """The same seed twice, and another one."""
    first, again, other = (
        render([random_scene(np.random.default_rng(seed), atlas.count)], atlas, SIZE) for seed in (1, 1, 2)
    )
    assert torch.equal(first.rgb, again.rgb)
    assert torch.equal(first.depth, again.depth)
    assert not torch.equal(first.depth, other.depth)


def test_views_without_depth_are_rejected():
    """A flat wall, a single surface and an object at the lens are rejected; a deep view is kept."""
    size = (1, 20, 30)
    many = torch.arange(600).view(size) % 5
    flat = Images(torch.zeros(1, 3, 20, 30), torch.full(size, 3.0), many)
    deep = Images(flat.rgb, torch.linspace(1, 9, 600).view(size), many)
    one = Images(flat.rgb, deep.depth, torch.zeros(size, dtype=torch.int64))
    near = Images(flat.rgb, torch.linspace(0.01, 9, 600).view(size), many)
    assert [bool(worth_keeping(p.depth, p.surface_id)) for p in (flat, deep, one, near)] == [False, True, False, False]
