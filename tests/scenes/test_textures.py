"""Patterns and the atlas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stream.scenes.renderer.patterns import PATTERNS, noise
from stream.scenes.renderer.textures import atlas_of, random_atlas, random_texture


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_in_range_and_repeatable(name):
    """(side, side) float32 in 0..1; the seed decides."""
    first, again, other = (PATTERNS[name](np.random.default_rng(seed), 64) for seed in (1, 1, 5))
    assert first.shape == other.shape == (64, 64)
    assert first.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(first, again)


def test_noise_tiles():
    """The step over the edge is not larger than the steps inside."""
    image = noise(np.random.default_rng(0), 64, octaves=4)
    inside = np.abs(np.diff(image, axis=1)).max()
    assert np.abs(image[:, 0] - image[:, -1]).max() <= inside * 1.2


def test_the_coarsest_level_is_the_mean():
    """In linear light, for every texture."""
    rng = np.random.default_rng(0)
    textures = [random_texture(rng, 32) for _ in range(3)]
    atlas = atlas_of(textures)
    expected = np.stack([(np.clip(t, 0.01, 1) ** 2).mean((0, 1)) for t in textures], axis=1)
    np.testing.assert_allclose(atlas.mean(torch.arange(3, dtype=torch.int32)).numpy(), expected, rtol=1e-4)


def test_sampling_hits_texels_and_blends_between_them():
    """A texel's middle gives the texel; repeats wrap; halfway to the next gives their mean."""
    texture = np.zeros((4, 4, 3), np.float32)
    texture[1, 2], texture[1, 3] = 1.0, 0.5
    atlas = atlas_of([texture, texture])
    u = torch.tensor([2.5, 3.5, 3.0, 2.5 + 8, 2.5 - 4]) / 4
    v, number = torch.full_like(u, 1.5 / 4), torch.ones(5, dtype=torch.int32)
    found = atlas.sample(number, u, v, torch.zeros(5))[0]
    np.testing.assert_allclose(found, [1, 0.25, 0.625, 1, 1], rtol=1e-5)


def test_the_same_seed_gives_the_same_atlas():
    """And another seed another one."""
    first, again, other = (random_atlas(seed, 3, side=16) for seed in (1, 1, 2))
    assert torch.equal(first.texels, again.texels)
    assert not torch.equal(first.texels, other.texels)
    assert first.levels == 5
