"""The tours that the demo shows."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from stream.frames import Size
from stream.scenes.camera.motion import EllipticPath
from stream.scenes.renderer.render import render
from stream.scenes.world.tours import tour

HERE = Path(__file__).parent
SMALL = Size(30, 40)
SEEDS = range(6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tours_look_as_they_did(seed):
    """Against stored images of 32x24.

    Tolerance: edges may fall on other pixels with another CPU's rounding, so 2% of the pixels may differ; the others
    agree to 3 steps of 255 and to 0.1% in depth.
    """
    made = runpy.run_path(str(HERE / "make_references.py"))["image_and_depth"]
    image, depth = made(seed)
    with np.load(HERE / "references" / f"tour_{seed}.npz") as stored:
        off = np.abs(image.astype(int) - stored["image"]).max(-1) > 3
        off |= ~np.isclose(depth, stored["depth"], rtol=1e-3)
    assert off.mean() <= 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_the_camera_never_meets_an_object(seed):
    """Over five minutes it stays out of every primitive, and nothing in view comes nearer than half a metre."""
    shown = tour(seed)
    for time_s in np.arange(0, 300, 7.3):
        scene = shown.at(float(time_s))
        position = np.array(scene.camera.position)
        for part in scene.primitives:
            local = (position - part.center) @ part.turn / part.half
            assert np.abs(local).max() > 1.05, f"inside a {part.shape.name} at {time_s:.1f} s"
        assert (scene.environment.low < position).all()
        assert (position < scene.environment.high).all()
    depth = render([shown.at(float(t)) for t in (0, 40, 90)], shown.atlas, SMALL, shadows=False).depth
    assert depth.min() > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_motion_is_smooth(seed):
    """In 1/50 s nothing jumps: the camera moves less than 2 cm and turns less than 0.1 degrees, no part moves 8 cm."""
    shown = tour(seed)
    for time_s in np.arange(0, 60, 3.7):
        now, then = shown.at(float(time_s)), shown.at(float(time_s) + 0.02)
        assert np.abs(now.camera.pose() - then.camera.pose())[:3, 3].max() < 0.02
        assert np.abs(now.camera.axes() - then.camera.axes()).max() < np.radians(0.1)
        steps = [np.abs(a.center - b.center).max() for a, b in zip(now.primitives, then.primitives, strict=True)]
        assert max(steps) < 0.08
        assert max(steps) > 0.001, "nothing moves"


@pytest.mark.parametrize("seed", SEEDS)
def test_walkers_and_things_keep_apart(seed):
    """No part of anything that moves comes within its own radius of the middle of a thing that stands."""
    shown = tour(seed)
    low = np.array([part.center - _reach(part) for part in shown.still])
    high = np.array([part.center + _reach(part) for part in shown.still])
    rug = np.array([part.half[2] < 0.01 for part in shown.still])
    for time_s in np.arange(0, 40, 0.9):
        for mover in shown.movers:
            for part in mover(float(time_s)):
                inside = (low < part.center).all(1) & (part.center < high).all(1) & ~rug
                assert not inside.any(), f"{part.center} at {time_s:.1f} s"


@pytest.mark.parametrize("seed", SEEDS)
def test_things_are_at_many_distances(seed):
    """A view for a depth network: at least a factor of three between near and far, and a dozen surfaces."""
    shown = tour(seed)
    images = render([shown.at(0.0)], shown.atlas, SMALL)
    near, far = torch.quantile((1 / images.depth).flatten(), torch.tensor([0.95, 0.05]))
    assert near > 3 * far
    assert len(images.surface_id.unique()) > 12


@pytest.mark.slow
def test_tours_differ_by_seed():
    """And a seed always gives the same one."""
    first, again, other = (render([tour(seed).at(1.0)], tour(seed).atlas, SMALL).rgb for seed in (0, 0, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.02


def test_an_elliptic_path_closes_and_faces_its_way():
    """After one period it is where it was; its heading is the direction of its next step."""
    walk = EllipticPath((5, 0, 0), 0.4, 3.0, 12.0, 0.7)
    np.testing.assert_allclose(walk.position(2.0), walk.position(14.0), atol=1e-9)
    step = walk.position(2.0001) - walk.position(2.0)
    assert np.arctan2(step[1], step[0]) == pytest.approx(walk.heading_rad(2.0), abs=1e-3)


def _reach(part):
    """Half sizes of the axis-aligned box around a part."""
    return np.abs(part.turn) @ part.half
