"""Light: shadows, ambient occlusion, and the independence of batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stream.frames import Size
from stream.scenes.camera.exposure import Grain, to_bgr
from stream.scenes.renderer.packing import pack
from stream.scenes.renderer.primitives import box, cylinder, ellipsoid
from stream.scenes.renderer.raycast import FLOOR, cast_rays
from stream.scenes.renderer.render import render
from stream.scenes.renderer.shading import sun_visibility
from stream.scenes.renderer.surface import look_up_surface
from stream.scenes.renderer.textures import random_atlas
from stream.scenes.renderer.vectors import vector
from stream.scenes.world.layouts import random_scene

SIZE = Size(48, 64)


def test_a_ball_throws_its_shadow_away_from_the_sun(grey, make_scene, material):
    """The sun on the left (+y) darkens the floor on the right of the ball, and nothing on the left."""
    scene = make_scene(ellipsoid(vector(4, 0, 0.8), vector(0.5, 0.5, 0.5), material), sun=(0.0, 0.8, 0.6))
    lit, unlit = (render([scene], grey, SIZE, shadows=on, occlusion=False) for on in (True, False))
    darker = ((unlit.rgb - lit.rgb).mean(1)[0] > 0.05) & (lit.surface_id[0] == 1 + 4)
    columns = darker.nonzero()[:, 1]
    assert len(columns) > 20
    assert int(columns.min()) > SIZE.width // 2


def test_shadows_are_softer_the_further_they_fall(make_scene, material):
    """Of a post's shadow a larger share is half lit near its tip than near its foot."""
    post = cylinder(vector(4, 1.5, 1.0), 0.3, 1.0, material)
    packed = pack([make_scene(post, sun=(0.0, 0.8, 0.6))], Size(120, 160))
    hits = cast_rays(packed)
    floor, lit = hits.entry == packed.slot_count + FLOOR, sun_visibility(packed, hits)
    across_m, half_lit = look_up_surface(packed, hits).point[1], (lit > 0.02) & (lit < 0.98)
    shares = []
    for part in (across_m > 0.5, across_m < -0.3):
        shadow = floor & part & (lit < 0.98)
        assert shadow.sum() > 50
        shares.append(float(half_lit[shadow].float().mean()))
    assert shares[1] > 1.5 * shares[0]
    assert bool((lit[floor] == 0).any())


def test_no_shape_shades_itself_where_it_faces_the_sun(grey, make_scene, material):
    """No speckle: with the sun behind the camera a lone ball loses no light to shadows."""
    sun = tuple(np.array([-0.8, 0.0, 0.6]))
    scene = make_scene(ellipsoid(vector(4, 0, 1.5), vector(0.9, 0.5, 0.7), material), sun=sun)
    lit, unlit = (render([scene], grey, SIZE, shadows=on, occlusion=False) for on in (True, False))
    ball = lit.surface_id[0] == 0
    assert ball.sum() > 100
    assert torch.equal(lit.rgb[0][:, ball], unlit.rgb[0][:, ball])


def test_the_floor_is_darker_beside_a_thing(grey, make_scene, material):
    """Ambient occlusion takes light near a box and leaves the far floor alone."""
    scene = make_scene(box(vector(6, 0, 0.5), vector(0.5, 0.5, 0.5), material))
    opened, closed = (render([scene], grey, SIZE, shadows=False, occlusion=on) for on in (False, True))
    loss = (opened.rgb - closed.rgb).mean(1)[0]
    box_bottom = int((opened.surface_id[0] == 0).nonzero()[:, 0].max())
    assert loss[box_bottom + 1, SIZE.width // 2] > 2 * loss[-1, 0].clamp_min(1e-3)


def test_a_scene_looks_the_same_alone_and_in_a_batch():
    """A batch gives it other slots, and only coplanar faces may exchange pixels."""
    rng = np.random.default_rng(4)
    atlas, scenes = random_atlas(1, 12, side=32), [random_scene(rng, 12) for _ in range(3)]
    batch = render(scenes, atlas, SIZE)
    for i, scene in enumerate(scenes):
        alone = render([scene], atlas, SIZE)
        difference = (alone.rgb[0] - batch.rgb[i]).abs().amax(0)
        assert (difference < 1e-3).float().mean() > 0.99
        torch.testing.assert_close(alone.depth[0], batch.depth[i], rtol=1e-4, atol=0)


def test_eight_bit_images_are_blue_first_and_contiguous():
    """(B, H, W, 3) uint8; out-of-range light is clipped, not wrapped."""
    light = torch.zeros(1, 3, 4, 5)
    light[:, 0], light[:, 2] = 1.2, 0.5
    image = to_bgr(light)
    assert image.shape == (1, 4, 5, 3)
    assert image.is_contiguous()
    assert image[0, 0, 0].tolist() == [128, 0, 255]


def test_grain_is_seeded_and_changes_from_frame_to_frame():
    """The same frame always has the same grain."""
    grain = Grain(3, SIZE, 1.5)
    assert torch.equal(grain.of_frame(7), Grain(3, SIZE, 1.5).of_frame(7))
    assert not torch.equal(grain.of_frame(7), grain.of_frame(8))
    assert float(grain.of_frame(7).std()) == pytest.approx(1.5, rel=0.1)
